"""How well entities are found: exact and partial F1, all together and by label, with intervals over rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.marks import Span
from ..records import Estimate
from ..tasks.entities import Entities
from ..tasks.metrics import f1
from .cases import by_unit, estimate, figure, without_each
from .figures import Figure
from .intervals import Array, correlations, mean_interval

HITS, TOUCHED, GIVEN, HAS = range(4)
EXACT, PARTIAL, PRECISION, RECALL = [HITS, GIVEN, HAS], [TOUCHED, GIVEN, HAS], [HITS, GIVEN], [HITS, HAS]


def count(task: Entities, truth: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]) -> Array:
    """What happened in each row.

    Returns:
        [rows, labels, 4] exact hits, partial hits, spans found, spans that are true.
    """
    table = np.zeros((len(truth), len(task.labels), 4))
    for row, (true, guessed) in enumerate(zip(truth, found, strict=True)):
        for at, label in enumerate(task.labels):
            mine, given = ([s for s in sorted(some) if s.label == label] for some in (true, guessed))
            exact = {(s.start, s.end) for s in mine} & {(s.start, s.end) for s in given}
            table[row, at] = len(exact), _touching(mine, given), len(given), len(mine)
    return table


def _touching(one: list[Span], two: list[Span]) -> int:
    """The most pairs that share a character, each span in one pair; neither list has spans over each other."""
    i = j = pairs = 0
    while i < len(one) and j < len(two):
        if one[i].end <= two[j].start:
            i += 1
        elif two[j].end <= one[i].start:
            j += 1
        else:
            i, j, pairs = i + 1, j + 1, pairs + 1
    return pairs


def figures(task: Entities, before: Array, after: Array, baseline: Array, *, unit: Sequence[int] | None = None,
            seed: int = 0) -> list[Figure]:
    """Figures of two taggers of the same rows, and of a third that needs no training.

    F1 of exact spans, all labels together, leads: what seqeval and the CoNLL script call F1. A partial hit is a span
    of the same label that shares a character; each span counts once. macro-F1 is of the labels true or found.

    Args:
        before, after, baseline: [rows, labels, 4] of `count`.
        unit: [rows] number of the row's unit: rows of one document are alike, so intervals are over units.
        seed: of the tests of gains.
    """
    tables = [by_unit(one, unit) for one in (before, after, baseline)]

    def of(name: str, title: str, parts: list[int], label: int | None = None) -> Figure:
        counts = [table.sum(axis=1) if label is None else table[:, label] for table in tables]
        there = label is None or np.any([one[:, [GIVEN, HAS]].any(axis=1) for one in counts], axis=0)
        shown = [one[:, parts][there].reshape(-1, len(parts)) for one in counts]
        return figure(name, title, *shown, of=_share if len(parts) == 2 else _f1, seed=seed)

    macro = [_macro(table) for table in tables]
    return [of("micro_f1", "F1 of exact entities", EXACT), of("precision", "precision", PRECISION),
            of("recall", "recall", RECALL),
            Figure(name="macro_f1", title="macro-F1", more=True, before=macro[0], after=macro[1], baseline=macro[2]),
            of("partial_f1", "F1, overlap is enough", PARTIAL),
            *(of(f"f1:{label}", f"F1 of {label}, {int(after[:, i, HAS].sum())} entities", EXACT, i)
              for i, label in enumerate(task.labels))]


def estimates(table: Array, unit: Sequence[int] | None = None) -> dict[str, Estimate]:
    """Exact figures of one tagger alone, by name, with intervals over units."""
    counts = by_unit(table, unit).sum(axis=1)
    return {name: estimate(counts[:, parts], _share if len(parts) == 2 else _f1)
            for name, parts in (("micro_f1", EXACT), ("precision", PRECISION), ("recall", RECALL))}


def row_f1(table: Array) -> Array:
    """F1 of exact spans of each row by itself; 1 where there is none and none was found. [rows]"""
    sums = table.sum(axis=1)[:, EXACT]
    return np.where(sums[:, 1:].any(axis=1), _f1(sums), 1.0)


def _f1(sums: Array) -> Array:
    """Sums [..., hits, spans found, spans that are true]."""
    return f1(sums[..., 0], sums[..., 1], sums[..., 2])


def _share(sums: Array) -> Array:
    """Sums [..., hits, spans]; 0 of none."""
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1))


def _macro(table: Array) -> Estimate:
    """Put together from the labels' intervals (`mean_interval`): one that was never found stays open above."""
    known: NDArray[np.intp] = np.flatnonzero(table[..., [GIVEN, HAS]].any(axis=(0, 2)))
    if not len(known):
        return Estimate(value=0.0, low=0.0, high=1.0, n=len(table))
    each = [table[:, label, EXACT] for label in known]
    values, low, high = np.array([(e.value, e.low, e.high) for e in (estimate(one, _f1) for one in each)]).T
    moved = np.stack([without_each(one, _f1) for one in each], axis=1)
    (down, up), value = mean_interval(values, low, high, correlations(moved)), float(values.mean())
    return Estimate(value=value, low=min(value, down), high=max(value, up), n=len(table))
