"""A model that writes, as the file that LiteRT-LM opens on phones and boards: its graph gives the logits here, and
LiteRT-LM itself reads, renders and writes to prove the file."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..data.turns import Turn
from ..errors import CorruptFile, MissingExtra
from ..settings import settings
from ..tasks.classify import Floats
from .exported import muted
from .exported_author import ExportedAuthor
from .reading import fit, shared
from .spelled import spelled

MODEL = "model.litertlm"
DECODE, PREFILL = "decode", re.compile(r"prefill_(\d+)")
"""Names of the graphs: one token with its scores, and so many tokens without."""
GRAPHS = 3
"""The number of a LiteRT model among what a file holds."""
UNSEEN = np.float32(-0.7 * np.finfo(np.float32).max)
"""Added to what a token must not see, as LiteRT-LM does it."""


class LiteRtLmFile:
    """`model.litertlm`, open. It remembers the tokens that it read last, and reads only what is new.

    Args:
        folder: as `export.targets.litert_writer` writes it.

    Raises:
        MissingExtra: LiteRT is not installed. CorruptFile: it does not open the file.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / MODEL
        try:
            from ai_edge_litert.interpreter import Interpreter
            from litert_lm_builder import litertlm_peek
        except ImportError as problem:
            raise MissingExtra("Writing with LiteRT-LM", "litert") from problem
        try:
            with muted():  # it tells of its kernels
                self._interpreter = Interpreter(model_content=_graphs(self.file, litertlm_peek),
                                                num_threads=settings().threads)
                names = list(self._interpreter.get_signature_list())
                self._decode = self._interpreter.get_signature_runner(DECODE)
                self._prefills = {int(found[1]): self._interpreter.get_signature_runner(name)
                                  for name in names if (found := PREFILL.fullmatch(name))}
            shapes = {name: one["shape"] for name, one in self._decode.get_input_details().items()}
            self.room = int(shapes["mask"][-1])
            self._empty = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if "cache" in name}
        except Exception as problem:  # whatever a parser says of bytes that are no model
            raise CorruptFile(f"LiteRT cannot open {self.file}: {str(problem).strip().splitlines()[-1]}",
                              "Export it again.") from problem
        self._read, self._kept = list[int](), dict(self._empty)

    def logits(self, ids: Sequence[int], last: int = 1) -> Floats:
        """Logits of every word after each of the last tokens. [last, words], fp32

        Raises:
            UserError: there is no room for so many tokens.
        """
        ids = list(ids)
        fit(ids, self.room)
        same = shared(ids, self._read)
        at, found = min(same, len(ids) - last), list[Floats]()
        self._read = ids[:at]
        while at < len(ids):  # what is kept after a place is written over from there on
            count = max((one for one in self._prefills if at + one <= len(ids) - last), default=0)
            some = ids[at:at + max(1, count)]
            said = self._run(self._prefills.get(count, self._decode), some, at)
            at, self._read = at + len(some), self._read + some
            if at > len(ids) - last:
                found.append(said[0])
        return np.concatenate(found)

    def _run(self, graph: Any, some: list[int], start: int) -> Any:
        """One pass; the scores, where the graph gives them."""
        places = np.arange(start, start + len(some), dtype=np.int32)
        mask = np.where(np.arange(self.room)[None, :] <= places[:, None], np.float32(0), UNSEEN)
        with muted():  # the first pass tells of its delegate
            self._kept = graph(tokens=np.array([some], np.int32), input_pos=places, mask=mask[None, None],
                               **self._kept)
        return self._kept.pop("logits", None)

    def forget(self) -> None:
        """Read everything anew next time."""
        self._read, self._kept = list[int](), dict(self._empty)

    @cached_property
    def _engine(self) -> Any:
        """LiteRT-LM with the file open."""
        try:
            import litert_lm
        except ImportError as problem:
            raise MissingExtra("Proving a file of LiteRT-LM", "litert") from problem
        litert_lm.set_min_log_severity(litert_lm.LogSeverity.SILENT)
        with muted():
            return litert_lm.Engine(str(self.file), litert_lm.Backend.CPU(thread_count=settings().threads),
                                    cache_dir=":nocache")  # else it writes beside the file

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text as LiteRT-LM reads it: marks in it always count, and its beginning stands before any."""
        begin = self._engine.bos_token_id
        return [*([] if begin is None else [int(begin)]), *map(int, self._engine.tokenize(text))]

    def ends(self, token: int) -> bool:
        """Whether LiteRT-LM stops at a token."""
        return [token] in self._engine.eos_token_ids

    def render(self) -> Callable[[Sequence[Turn]], str]:
        """How LiteRT-LM writes down a conversation, by the template in the file."""
        def text(messages: Sequence[Turn]) -> str:
            with muted(), contextlib.closing(self._engine.create_conversation(messages=list(messages[:-1]))) as one:
                return str(one.render_message_to_string(dict(messages[-1])))
        return text

    def runner(self) -> Callable[[Sequence[int], int], list[int]]:
        """LiteRT-LM's own way of writing: so many of the likeliest tokens after these."""
        import litert_lm

        likeliest = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=0)

        def write(ids: Sequence[int], most: int) -> list[int]:
            begins = self._engine.bos_token_id is not None  # it puts that before the text itself
            text = self._engine.detokenize(list(ids[begins:]))
            if self.tokens(text, special=True) != list(ids):
                raise ValueError("its tokenizer reads a text otherwise")
            with muted(), contextlib.closing(self._engine.create_session(
                    apply_prompt_template=False, sampler_config=likeliest, max_output_tokens=most)) as one:
                one.run_prefill([text])
                pieces = [piece for said in one.run_decode_async() for piece in said.texts]
            return spelled(self, ids, pieces, lambda made, token: self._engine.detokenize([token]))
        return write


def _graphs(file: Path, peek: Any) -> bytes:
    """The LiteRT model that a file holds.

    Raises:
        ValueError: it holds none.
    """
    parts = peek.read_litertlm_header(str(file), io.StringIO()).SectionMetadata()
    for one in (parts.Objects(at) for at in range(parts.ObjectsLength())):
        if one.DataType() == GRAPHS:
            with file.open("rb") as opened:
                opened.seek(one.BeginOffset())
                found = opened.read(one.EndOffset() - one.BeginOffset())
            if len(found) == one.EndOffset() - one.BeginOffset():
                return found
    raise ValueError("it holds no whole model")


class LiteRtWriter(ExportedAuthor):
    """Writes as `Writer` does, with the same prompts and the same draw; LiteRT computes.

    Args:
        folder: of the exported model.
        model: folder of the model that it was made from, for its tokenizer and template.
    """

    def __init__(self, folder: Path, model: Path) -> None:
        self.runtime: Any = LiteRtLmFile(folder)
        super().__init__(model, self.runtime.room)
