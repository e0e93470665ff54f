"""A model that reads as a file of a runtime: what all such engines share. Neither torch nor transformers is needed.

The file holds body, pooling and head; the tokenizer stands beside it as `tokenizer.json`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, MissingExtra, UserError, lacking
from ..tasks.classify import Floats
from .base import LABELS, TAGS, read_kind, write_kind

TOKENIZER = "tokenizer.json"
TOKENS_PER_BATCH = 512
"""Tokens in one pass. Larger batches were slower in every runtime that was measured: they leave the cache."""
AGAIN = "Export it again: seedbed export"
Ids = NDArray[np.int64]


class Exported(ABC):
    """Token ids and mask in, what the model gives out, whatever runs it.

    Args:
        folder: where the files lie.
        values: what `engine.json` says.
    """

    kind: str
    package: str
    """The runtime that must be installed."""
    beside: tuple[str, ...] = ()
    """What it imports itself and does not bring."""

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self.folder = folder
        self.gives, self.causal = str(values.get("gives", LABELS)), bool(values.get("causal"))
        self.labels, self.max_tokens = int(values["labels"]), int(values["max_tokens"])
        self.pad, self.empty, self.alone = int(values["pad"]), int(values["empty"]), bool(values["alone"])
        self.tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_tokens)

    @abstractmethod
    def run(self, ids: Ids, mask: Ids) -> Floats:
        """One pass. [rows, tokens], [rows, tokens] -> [rows, labels], or [rows, tokens, tags]"""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open what a target wrote.

        Raises:
            MissingExtra: the runtime is not installed.
            NotFound, CorruptFile: a file is missing or cannot be read.
        """
        values = read_kind(folder)
        try:
            return cls(folder, values)
        except ImportError as missing:
            if (missing.name or "").split(".")[0] not in (cls.package, *cls.beside):
                raise
            raise MissingExtra(f"The engine {cls.kind}", cls.kind) from missing
        except UserError:
            raise
        except Exception as problem:  # whatever a runtime or tokenizers says of bytes that are no model
            if lacking(problem):
                raise
            told = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
            raise CorruptFile(f"The model in {folder} cannot be read: {told}.", AGAIN) from problem

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut at `max_tokens`, never empty."""
        return [made.ids or [self.empty] for made in self.tokenizer.encode_batch(list(texts))]

    def padded(self, rows: Sequence[Sequence[int]], width: int = 0, masked: bool = True) -> Floats:
        """One pass over rows of token ids, padded on the right. -> [rows, labels], or [rows, tokens, tags]

        Args:
            width: pad to this many tokens, where the longest row has fewer.
            masked: tell the model what is padding; only a test of the mask does not.
        """
        wide = max(width, *map(len, rows))
        ids = np.full((len(rows), wide), self.pad, np.int64)
        mask = np.zeros_like(ids) if masked else np.ones_like(ids)
        for i, row in enumerate(rows):
            ids[i, :len(row)], mask[i, :len(row)] = row, 1
        out = np.asarray(self.run(ids, mask), np.float32)
        due = (len(rows), wide, self.labels) if self.gives == TAGS else (len(rows), self.labels)
        if out.shape != due:
            raise ValueError(f"the model gives {out.shape} scores where {due} are due")
        return out

    def each(self, rows: Sequence[Sequence[int]], width: int = 0, masked: bool = True) -> list[Floats]:
        """The same, what is given for each row by itself, without what was padded: [labels], or [tokens, tags]"""
        out = self.padded(rows, width, masked)
        return [one[:len(row)] if self.gives == TAGS else one for one, row in zip(out, rows, strict=True)]

    def logits(self, texts: Sequence[str]) -> Floats:
        """[texts, labels]"""
        rows = self.tokens(texts) if len(texts) else []
        out = np.zeros((len(rows), self.labels), np.float32)
        for places in self.batches([len(row) for row in rows]):
            out[places] = self.padded([rows[i] for i in places])
        return out

    def vectors(self, texts: Sequence[str]) -> Floats:
        """[texts, width], of a model that embeds."""
        return self.logits(texts)

    def batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Places of rows that are answered together: of like length, so that little is padded."""
        batch: list[int] = []
        for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            if batch and (self.alone or lengths[batch[0]] * (len(batch) + 1) > TOKENS_PER_BATCH):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def save(self, folder: Path) -> None:
        """Copy its files."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def describe(folder: Path, kind: str, tokenizer: Any, *, gives: str, labels: int, max_tokens: int, pad: int,
             empty: int, alone: bool, causal: bool, precision: str) -> None:
    """Write what stands beside a runtime's file: `engine.json` and `tokenizer.json`.

    Args:
        tokenizer: of the package tokenizers.
        gives: `LABELS`, `VECTOR` or `TAGS`.
        labels: how many numbers it gives of a text (of a token): labels, the vector's width, or tags.
        max_tokens: longer texts are cut.
        pad, empty: token ids, of padding and of a text without tokens.
        alone: a text's answer would depend on those beside it, so each is answered in a pass of its own.
        causal: a token sees only those before it.
    """
    (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
    write_kind(folder, kind, gives=gives, labels=labels, max_tokens=max_tokens, pad=pad, empty=empty, alone=alone,
               causal=causal, precision=precision)


@contextlib.contextmanager
def muted(*streams: int) -> Iterator[None]:
    """Within it nothing reaches standard error, not even from C++: for what tells something and has no switch. Short
    steps only, since the progress of others is not shown meanwhile.

    Args:
        streams: 1 for standard output, 2 for standard error; the latter alone where none is named.
    """
    streams = streams or (2,)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    kept, nowhere = [os.dup(one) for one in streams], os.open(os.devnull, os.O_WRONLY)
    try:
        for one in streams:
            os.dup2(nowhere, one)
        yield
    finally:
        if 1 in streams and sys.stdout is not None:
            sys.stdout.flush()
        for one, before in zip(streams, kept, strict=True):
            os.dup2(before, one)
            os.close(before)
        os.close(nowhere)
