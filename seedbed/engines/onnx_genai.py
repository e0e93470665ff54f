"""A model that writes, run by ONNX Runtime GenAI."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..data.turns import Turn
from ..errors import CorruptFile, MissingExtra
from ..settings import settings
from ..tasks.classify import Floats
from .exported_author import ExportedAuthor

MODEL, CONFIG = "model.onnx", "genai_config.json"
MOST = 4096
"""Tokens of a context at most: its cache is in memory whole, whatever is asked."""
PASS = 256
"""Tokens that are read at once: every word is scored after each of them, and these scores must fit the memory."""


class OnnxFile:
    """A folder of ONNX Runtime GenAI, open. It remembers the tokens that it read last, and reads only what is new.

    Args:
        folder: as `export.targets.onnx_writer` writes it.
        context: most tokens of a text.

    Raises:
        MissingExtra: onnxruntime-genai is not installed. CorruptFile: it does not open the folder.
    """

    def __init__(self, folder: Path, context: int) -> None:
        try:
            import onnxruntime_genai as genai
        except ImportError as problem:
            raise MissingExtra("Writing with ONNX Runtime", "onnx") from problem
        genai.disable_telemetry_events()
        self.folder = folder
        try:
            config = genai.Config(str(folder))
            config.overlay(json.dumps({"model": {"decoder": {"session_options": {
                "intra_op_num_threads": settings().threads, "log_severity_level": 4}}}}))
            self._model = genai.Model(config)
            trained = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model"]["context_length"]
            options = genai.GeneratorParams(self._model)
            options.set_search_options(max_length=min(context, trained))
            self._generator: Any = genai.Generator(self._model, options)
        except Exception as problem:  # whatever a parser says of bytes that are no model
            raise CorruptFile(f"ONNX Runtime cannot open {folder}: {str(problem).strip().splitlines()[-1]}",
                              "Export it again.") from problem
        self._read = list[int]()

    def logits(self, ids: Sequence[int], last: int = 1) -> Floats:
        """Logits of every word after each of the last tokens. [last, words], fp32"""
        ids = list(ids)
        same = next((i for i, (one, other) in enumerate(zip(ids, self._read, strict=False)) if one != other),
                    min(len(ids), len(self._read)))
        at = min(same, len(ids) - last)
        self._generator.rewind_to(at)
        self._read, found = ids[:at], []
        for start in range(at, len(ids), PASS):
            some = ids[start:start + PASS]
            self._generator.append_tokens(np.array(some, np.int32))
            self._read += some
            first = max(0, len(ids) - last - start)
            if first < len(some):
                found.append(np.array(self._generator.get_output("logits")[0, first:], np.float32))
        return np.concatenate(found)

    def forget(self) -> None:
        """Read everything anew next time."""
        self._generator.rewind_to(0)
        self._read = []

    @cached_property
    def _tokenizer(self) -> Any:
        import onnxruntime_genai as genai

        return genai.Tokenizer(self._model)

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text as the runtime's own tokenizer reads it: marks in it always count."""
        return [int(token) for token in self._tokenizer.encode(text)]

    def ends(self, token: int) -> bool:
        """Whether the runtime stops at a token, as `genai_config.json` says."""
        return token in {int(one) for one in self._tokenizer.eos_token_ids}

    def render(self) -> Callable[[Sequence[Turn]], str] | None:
        """How the runtime writes down a conversation; None where there is no template."""
        if not (self.folder / "chat_template.jinja").is_file():
            return None
        return lambda messages: str(self._tokenizer.apply_chat_template(json.dumps(list(messages)),
                                                                        add_generation_prompt=True))

    def genai(self) -> Callable[[Sequence[int], int], list[int]]:
        """The runtime's own way of writing: so many of the likeliest tokens after these."""
        import onnxruntime_genai as genai

        def write(ids: Sequence[int], most: int) -> list[int]:
            options = genai.GeneratorParams(self._model)
            options.set_search_options(max_length=len(ids) + most, do_sample=False)
            generator = genai.Generator(self._model, options)
            generator.append_tokens(np.array(list(ids), np.int32))
            made = list[int]()
            while len(made) < most and not generator.is_done():
                generator.generate_next_token()
                made.append(int(generator.get_next_tokens()[0]))
            return made
        return write


class OnnxWriter(ExportedAuthor):
    """Writes as `Writer` does, with the same prompts and the same draw; ONNX Runtime computes.

    Args:
        folder: of the exported model.
        model: folder of the model that it was made from, for its tokenizer and template.
    """

    def __init__(self, folder: Path, model: Path) -> None:
        super().__init__(model, MOST)
        self.runtime = OnnxFile(folder, self.max_tokens)
