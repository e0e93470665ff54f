"""An encoder-decoder that writes, as two graphs of ONNX Runtime or OpenVINO: the encoder is run once a text, its keys
and values are kept, and the decoder goes on with them and with those of what it has said."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, MissingExtra
from ..models.paired import source_of
from ..settings import settings
from ..tasks.classify import Floats
from .exported import TOKENIZER
from .exported_author import ExportedAuthor

ENCODER, DECODER, SETTINGS = "encoder", "decoder", "generation_config.json"
PASS = 256
"""Tokens of the decoder that are read at once: every word is scored after each, and these must fit the memory."""
Arrays = list[NDArray[Any]]


class PairedFile(ABC):
    """Both graphs, open. It remembers what it read and said last, and computes only what is new: another source is
    read anew, and of another answer to the same source what both begin with is kept. Texts come one at a time, so
    nothing is padded.

    Args:
        folder: as `export.targets.paired_writer` writes it.

    Raises:
        MissingExtra: the runtime is not installed. CorruptFile: it does not open the files.
    """

    name: str
    package: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._source: list[int] | None = None
        self._said, self._cross, self._past = list[int](), Arrays(), Arrays()
        try:
            self._open()
            self._settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        except ImportError as problem:
            raise MissingExtra(f"Writing with {self.name}", self.package) from problem
        except Exception as problem:  # whatever a parser says of bytes that are no model
            raise CorruptFile(f"{self.name} cannot open {folder}: {str(problem).strip().splitlines()[-1]}",
                              "Export it again.") from problem

    @abstractmethod
    def _open(self) -> None:
        """Open both graphs."""

    @abstractmethod
    def _run(self, graph: str, given: Arrays) -> Arrays:
        """What a graph makes of its inputs, in their order. The encoder takes ids and mask of sources, [rows, source]
        each, and gives keys and values for each layer of the decoder; that one takes new tokens, [rows, new], the
        mask, those keys and values and its own of what was said, and gives logits and its own anew."""

    def logits(self, ids: Sequence[int], last: int = 1) -> Floats:
        """Logits of every word after each of the last tokens of the decoder. [last, words], fp32

        Args:
            ids: `Paired`: what the encoder reads, and what the decoder was given.
        """
        source, target = list(ids[:source_of(ids)]), list(ids[source_of(ids):])
        if source != self._source:
            self._read(source, 0)
        same = next((at for at, (one, other) in enumerate(zip(target, self._said, strict=False)) if one != other),
                    min(len(target), len(self._said)))
        begin = min(same, len(target) - last)
        self._past, self._said, found = [one[:, :, :begin] for one in self._past], target[:begin], []
        for start in range(begin, len(target), PASS):
            some = target[start:start + PASS]
            given = [np.array([some], np.int64), self._mask, *self._cross, *self._past]
            said, *self._past = self._run(DECODER, given)
            self._said += some
            first = max(0, len(target) - last - start)
            if first < len(some):
                found.append(np.asarray(said[0, first:], np.float32))
        return np.concatenate(found)

    def padded(self, ids: Sequence[int], more: int, last: int = 1) -> Floats:
        """The same where so many tokens of padding stand behind the source, as beside a longer one."""
        self._read(list(ids[:source_of(ids)]), more)
        return self.logits(ids, last)

    def _read(self, source: list[int], more: int) -> None:
        pad = int(self._settings.get("pad_token_id") or 0)
        self._mask = np.array([[1] * len(source) + [0] * more], np.int64)
        self._cross = self._run(ENCODER, [np.array([source + [pad] * more], np.int64), self._mask])
        rows, heads, _, width = self._cross[0].shape
        self._source, self._said = source, list[int]()
        self._past = [np.zeros((rows, heads, 0, width), np.float32) for _ in self._cross]

    def forget(self) -> None:
        """Read everything anew next time."""
        self._source = None

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        made = Tokenizer.from_file(str(self.folder / TOKENIZER))
        made.no_padding()
        made.no_truncation()
        return made

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a source as the tokenizer beside the graphs reads it, its end included; marks in it count where
        `special`."""
        self._tokenizer.encode_special_tokens = not special
        return [int(token) for token in self._tokenizer.encode(text).ids]

    @property
    def start(self) -> int:
        """The token that the decoder begins with."""
        return int(self._settings["decoder_start_token_id"])

    def ends(self, token: int) -> bool:
        """Whether an answer stops at a token, as `generation_config.json` says."""
        return token in self._settings["eos_token_id"]


class OnnxPaired(PairedFile):
    """`encoder.onnx` and `decoder.onnx`."""

    name, package = "ONNX Runtime", "onnx"

    def _open(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = settings().threads, 1
        options.log_severity_level = 4  # rooms never print; what fails is raised as well
        self._graphs = {one: onnxruntime.InferenceSession(self.folder / f"{one}.onnx", options,
                                                          providers=["CPUExecutionProvider"])
                        for one in (ENCODER, DECODER)}

    def _run(self, graph: str, given: Arrays) -> Arrays:
        names = [one.name for one in self._graphs[graph].get_inputs()]
        found: Arrays = self._graphs[graph].run(None, dict(zip(names, given, strict=True)))
        return found


class OpenVinoPaired(PairedFile):
    """`encoder.xml` and `decoder.xml` with their weights."""

    name, package = "OpenVINO", "openvino"

    def _open(self) -> None:
        from . import openvino as _silent  # noqa: F401  OpenVINO tells nobody what it runs
        import openvino  # isort: skip

        options = {"INFERENCE_NUM_THREADS": settings().threads, "PERFORMANCE_HINT": "LATENCY"}
        core = openvino.Core()
        self._graphs = {one: core.compile_model(self.folder / f"{one}.xml", "CPU", options).create_infer_request()
                        for one in (ENCODER, DECODER)}

    def _run(self, graph: str, given: Arrays) -> Arrays:
        request = self._graphs[graph]
        request.infer(list(map(np.ascontiguousarray, given)))
        return [np.array(one.data) for one in request.output_tensors]  # the next pass writes into the same memory


class PairedWriter(ExportedAuthor):
    """Writes as `Writer` does, with the same prompts and the same draw; the runtime computes.

    Args:
        runtime: the exported form, open.
        model: folder of the model that it was made from, for its tokenizer and template.
    """

    def __init__(self, runtime: PairedFile, model: Path) -> None:
        super().__init__(model)
        self.runtime = runtime
