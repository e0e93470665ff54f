"""Counts of a classification, and how they vary when the rows are drawn again.

Rows that agree in target and decisions are one pattern. Every score here depends only on how often each pattern
occurs, so drawing rows with replacement (Efron 1979) is one multinomial draw of the pattern counts: exact, and a
thousand times faster than indexing rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UserError
from ..tasks.classify import Classify, Floats

Array = NDArray[np.float64]
METRICS = {"macro_f1": "macro-F1", "accuracy": "accuracy", "micro_f1": "micro-F1"}
"""Each metric and what people call it."""
CHUNK = 4_000_000
"""Cells of one block of draws: bounds memory to some 100 MB."""


@dataclass(frozen=True)
class Totals:
    """Counts of one classification, or of many draws of it.

    Args:
        hits: [..., labels] rows that have the label and were given it.
        given: [..., labels] rows that were given the label.
        has: [..., labels] rows that have the label.
        right: [...] rows that are wholly right.
        rows: [...] rows.
    """

    hits: Array
    given: Array
    has: Array
    right: Array
    rows: Array

    def f1(self) -> Array:
        """F1 of each label; nan where the rows neither have nor were given it, for then 0/0 says nothing."""
        return _share(2 * self.hits, self.given + self.has)

    def metric(self, name: str) -> Array:
        """`macro_f1`: mean F1 over the labels that occur (scikit-learn's `f1_score(average="macro")`).
        `accuracy`: rows wholly right. `micro_f1`: F1 of all labels counted together."""
        if name == "accuracy":
            return _share(self.right, self.rows)
        if name == "micro_f1":
            return np.nan_to_num(_share(2 * self.hits.sum(-1), self.given.sum(-1) + self.has.sum(-1)))
        f1 = self.f1()
        known = ~np.isnan(f1)
        return np.nan_to_num(_share(np.where(known, f1, 0).sum(-1), known.sum(-1)))


def _share(part: Array, whole: Array) -> Array:
    part, whole = np.broadcast_arrays(part, whole)
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0))


@dataclass(frozen=True)
class Patterns:
    """The distinct patterns of rows.

    Args:
        counts: [patterns] how many rows show it.
        truth: [patterns, labels] 0/1.
        decided: one [patterns, labels] 0/1 for each candidate.
        place: [rows] pattern of each row.
    """

    counts: NDArray[np.int64]
    truth: Array
    decided: tuple[Array, ...]
    place: NDArray[np.int64]

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    def totals(self, candidate: int = 0, weights: Array | None = None) -> Totals:
        """Counts of one candidate for given pattern weights [..., patterns]; by default as observed."""
        w = self.counts.astype(np.float64) if weights is None else weights
        decided = self.decided[candidate]
        right = (decided == self.truth).all(axis=1).astype(np.float64)
        return Totals(w @ (self.truth * decided), w @ decided, w @ self.truth, w @ right, w.sum(-1))

    def draws(self, resamples: int, rng: np.random.Generator, rows: int | None = None) -> Iterator[Array]:
        """Blocks [some, patterns] of pattern counts when the rows are drawn again, with replacement."""
        size = self.rows if rows is None else rows
        for block in blocks(resamples, len(self.counts)):
            yield rng.multinomial(size, self.counts / self.rows, size=block).astype(np.float64)


def blocks(total: int, width: int) -> Iterator[int]:
    """Sizes that add up to `total`, so that a block of that many draws of `width` cells stays small."""
    step = max(1, CHUNK // max(1, width))
    for start in range(0, total, step):
        yield min(step, total - start)


def patterns(task: Classify, y: NDArray[Any], *decisions: NDArray[Any]) -> Patterns:
    """Group rows by target and by the decisions of each candidate.

    Args:
        y, decisions: [rows] class indices, or [rows, labels] 0/1 for multi-label.
    """
    if task.multi_label:
        parts = [np.packbits(np.asarray(part, np.uint8), axis=1) for part in (y, *decisions)]
        columns = np.concatenate(parts, axis=1)
    else:
        columns = np.stack((y, *decisions), axis=1)
    columns = np.ascontiguousarray(columns)
    # One opaque value a row: sorting these is far faster than unique(axis=0).
    keys = columns.view(np.dtype((np.void, columns.dtype.itemsize * columns.shape[1]))).ravel()
    _, first, place, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    width = len(task.labels)

    def table(part: NDArray[Any]) -> Array:
        rows = part[first]
        return rows.astype(np.float64) if task.multi_label else np.eye(width)[rows]

    return Patterns(counts.astype(np.int64), table(y), tuple(table(d) for d in decisions), place.astype(np.int64))


def decisions(task: Classify, logits: Floats) -> NDArray[np.int64]:
    """What the task decides on these logits; a temperature does not change it."""
    return task.decide(task.probabilities(logits))


def checked(task: Classify, y: NDArray[Any], candidates: Sequence[tuple[str, Floats]],
            dataset: Sized | None = None) -> None:
    """Refuse what no score can be made of.

    Raises:
        DataError: no rows; logits that are not finite numbers.
        ValueError: shapes that do not belong together, a fault of the caller.
    """
    if dataset is not None and len(dataset) != len(y):
        raise ValueError(f"{len(dataset)} rows of data, {len(y)} targets")
    if not len(y):
        raise DataError("There are no rows to score.", "Give the split more rows, or ask for fewer splits.")
    for name, logits in candidates:
        if logits.shape != (len(y), len(task.labels)):
            raise ValueError(f"{name}: logits are {logits.shape}, expected {(len(y), len(task.labels))}")
        bad = int((~np.isfinite(logits).all(axis=1)).sum())
        if bad:
            raise DataError(f"{name} gave scores that are not numbers for {bad} of {len(y)} rows.",
                            "Training diverged: lower the learning rate, or leave the candidate out.")


def known_metric(name: str) -> str:
    """The name itself.

    Raises:
        UserError: there is no such metric.
    """
    if name not in METRICS:
        raise UserError(f"There is no metric {name!r}.", f"Known: {', '.join(METRICS)}.")
    return name
