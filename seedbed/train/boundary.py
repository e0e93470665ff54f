"""Activations that enter the first trained layer, computed once: later epochs skip the frozen layers below.

They are kept in memory or on disk, also where the model is on a GPU: a batch of them is soon there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from ..models.backbone import Backbone
from ..models.batch import TOKENS_PER_BATCH, Batch, by_length
from ..progress import SILENT, Progress
from .batches import bins


class Boundary:
    """Stored activations of rows of tokens, each computed when it is first asked for.

    Args:
        backbone: the model; its layers below `first` must not change.
        rows: token ids of each text.
        first: the layer that the activations enter; 0 stores nothing.
        file: where to map them when they are larger than `memory` bytes; None keeps them in memory.
        memory: bytes that may be held in memory.
        packing: put several texts into one row of a pass, as many as fit into the length of the longest.
    """

    def __init__(self, backbone: Backbone, rows: Sequence[list[int]], first: int, *, file: Path | None = None,
                 memory: int = 1 << 30, packing: bool = False) -> None:
        self.backbone, self.rows, self.first, self.packing = backbone, list(rows), first, packing
        self.weights: dict[str, Tensor] = {}
        """What took the place of the backbone's own weights in the latest pass."""
        self._there = set[int]()
        self.starts = [0]
        for row in rows:
            self.starts.append(self.starts[-1] + len(row))
        if first == 0:
            return
        shape = (self.starts[-1], backbone.width)
        size = shape[0] * shape[1]
        if size * backbone.dtype.itemsize > memory and file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            reserve(file, size * backbone.dtype.itemsize)
            self.stored = torch.from_file(str(file), shared=True, size=size, dtype=backbone.dtype).view(shape)
        else:
            self.stored = torch.empty(shape, dtype=backbone.dtype)

    @property
    def missing(self) -> int:
        """Tokens whose activations are not stored yet."""
        return 0 if self.first == 0 else sum(len(row) for i, row in enumerate(self.rows) if i not in self._there)

    def replace(self, place: int, row: list[int]) -> None:
        """Put another row in the place of one, which was at least as long when this was made."""
        self.rows[place] = row
        self._there.discard(place)

    def fill(self, places: Iterable[int] | None = None, progress: Progress = SILENT) -> None:
        """Compute the activations of these rows (all when None) that are not stored yet."""
        missing = [i for i in (range(len(self.rows)) if places is None else places) if i not in self._there]
        if self.first == 0 or not missing:
            return
        work, training = "frozen layers", self.backbone.training
        self.backbone.eval()
        progress.start(work, len(missing), "texts")
        for some in by_length([len(self.rows[i]) for i in missing], TOKENS_PER_BATCH):
            batch = [missing[i] for i in some]
            hidden = self.backbone.boundary(self.backbone.batch([self.rows[i] for i in batch]), self.first)
            for i, one in zip(batch, hidden, strict=True):
                self._mine(i)[:] = one[: len(self.rows[i])]
            self._there.update(batch)
            progress.advance(work, len(batch))
        progress.done(work)
        self.backbone.train(training)

    def pass_through(self, places: Sequence[int], weights: dict[str, Tensor] | None = None, *,
                     pool: bool = True) -> Tensor:
        """Vectors of the texts at these positions -> [rows, width], fp32; or without pooling activations after the
        last layer -> [rows, tokens, width].

        Args:
            weights: take the place of the backbone's own in this pass, by name.
        """
        self.fill(places)
        self.weights = weights or {}
        rows = [self.rows[i] for i in places]
        together = [[place] for place in range(len(rows))]
        if self.packing:
            together = bins([len(row) for row in rows], max(map(len, rows)))
        packed = len(together) < len(rows)
        batch = self.backbone.packed(rows, together) if packed else self.backbone.batch(rows)
        stored = nullcontext() if self.first == 0 else self.backbone.replaying(
            self._padded([[places[i] for i in some] for some in together], batch), self.first)
        with stored:
            out: Tensor = torch.func.functional_call(self.backbone, self.weights, (batch, pool and not packed))
        if not packed:
            return out
        apart = _apart(out, [len(row) for row in rows], together)
        lengths = torch.tensor([len(row) for row in rows], device=out.device)
        return self.backbone.pool(apart, lengths) if pool else apart

    def _padded(self, together: list[list[int]], batch: Batch) -> Tensor:
        out = torch.zeros(*batch.ids.shape, self.backbone.width, dtype=self.backbone.dtype)
        for row, some in enumerate(together):
            at = 0
            for i in some:
                out[row, at:at + len(self.rows[i])] = self._mine(i)
                at += len(self.rows[i])
        return out.to(batch.ids.device)

    def _mine(self, place: int) -> Tensor:
        return self.stored[self.starts[place]:self.starts[place] + len(self.rows[place])]


def _apart(hidden: Tensor, lengths: Sequence[int], together: list[list[int]]) -> Tensor:
    """Activations of packed texts, each in a row of its own again, what is padded being of no text.
    [bins, tokens, width] -> [texts, tokens, width]"""
    rows, longest = torch.zeros(len(lengths), dtype=torch.long), max(lengths)
    at = torch.zeros(len(lengths), longest, dtype=torch.long)
    for row, some in enumerate(together):
        begin = 0
        for i in some:
            rows[i] = row
            at[i, : lengths[i]] = torch.arange(begin, begin + lengths[i])
            begin += lengths[i]
    return hidden[rows[:, None].to(hidden.device), at.to(hidden.device)]


def reserve(file: Path, size: int) -> None:
    """Take the space on the disk now: writing to a mapped file on a full disk kills the process without a word."""
    with file.open("ab") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, size)
