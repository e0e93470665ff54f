"""How well entities are found: exact and partial F1, all together and by label, with intervals over rows.

Rows are what was drawn, and the entities of one row are alike, so every interval is that of `scores.clustered`: a
bootstrap of rows says how many independent cases the entities are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.marks import Span
from ..records import Estimate, Record
from ..tasks.entities import Entities
from .compare import correlation
from .counts import Array
from .intervals import difference_interval, mean_interval
from .scores import RESAMPLES, clustered, correlations

HITS, TOUCHED, GIVEN, HAS = range(4)


class LabelScore(Record):
    """One label."""

    label: str
    support: int
    """Entities that have it."""
    precision: Estimate
    recall: Estimate
    f1: Estimate


class EntityScores(Record):
    """What a tagger scores. `n` of each estimate counts rows."""

    rows: int
    entities: int
    precision: Estimate
    """Share of the found spans that are right: start, end and label."""
    recall: Estimate
    """Share of the true spans that were found."""
    micro_f1: Estimate
    """Of exact spans, all labels together: what seqeval and the CoNLL script call F1."""
    macro_f1: Estimate
    """Mean of the labels' exact F1."""
    partial_f1: Estimate
    """As micro-F1, but a span of the same label that shares a character counts; each span once."""
    per_label: list[LabelScore]


@dataclass(frozen=True)
class Counts:
    """What happened in each row.

    Args:
        table: [rows, labels, 4] exact hits, partial hits, spans found, spans that are true.
    """

    labels: tuple[str, ...]
    table: Array

    def draws(self, seed: int) -> Array:
        """[draws, labels, 4] of the rows drawn again, with replacement; the same for all taggers of these rows."""
        rows = len(self.table)
        weights = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1 / rows), RESAMPLES)
        return np.asarray(np.tensordot(weights.astype(np.float64), self.table, 1))


def count(task: Entities, truth: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]) -> Counts:
    """Compare what was found with what is true, row by row."""
    place = {label: i for i, label in enumerate(task.labels)}
    table = np.zeros((len(truth), len(task.labels), 4))
    for row, (true, guessed) in enumerate(zip(truth, found, strict=True)):
        for label, at in place.items():
            mine, given = ([s for s in sorted(some) if s.label == label] for some in (true, guessed))
            exact = {(s.start, s.end) for s in mine} & {(s.start, s.end) for s in given}
            table[row, at] = len(exact), _touching(mine, given), len(given), len(mine)
    return Counts(task.labels, table)


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


def score(counts: Counts, seed: int = 0) -> EntityScores:
    """All figures of one tagger."""
    n, total, drawn = len(counts.table), counts.table.sum(0), counts.draws(seed)
    every, redrawn = total.sum(0), drawn.sum(1)
    labels = [LabelScore(label=label, support=int(total[i, HAS]), precision=_share(total[i], drawn[:, i], GIVEN, n),
                         recall=_share(total[i], drawn[:, i], HAS, n), f1=_f1(total[i], drawn[:, i], HITS, n))
              for i, label in enumerate(counts.labels)]
    return EntityScores(rows=n, entities=int(every[HAS]), precision=_share(every, redrawn, GIVEN, n),
                        recall=_share(every, redrawn, HAS, n), micro_f1=_f1(every, redrawn, HITS, n),
                        macro_f1=_macro(total, drawn, labels, n), partial_f1=_f1(every, redrawn, TOUCHED, n),
                        per_label=labels)


def gain(first: Counts, second: Counts, seed: int = 0) -> Estimate:
    """Micro-F1 of the first less that of the second, paired by row (`difference_interval`)."""
    totals, draws = [], []
    for one in (first, second):
        drawn = one.draws(seed).sum(1)
        totals.append(_f1(one.table.sum((0, 1)), drawn, HITS, len(one.table)))
        draws.append(_values(drawn, HITS))
    low, high = difference_interval(totals[0], totals[1], correlation(draws[0], draws[1]))
    return Estimate(value=totals[0].value - totals[1].value, low=low, high=high, n=totals[0].n)


def _values(counts: Array, hits: int) -> Array:
    """F1 of counts [..., 4]; 0 where nothing is true or found."""
    return np.asarray(2 * counts[..., hits] / np.maximum(counts[..., GIVEN] + counts[..., HAS], 1))


def _f1(total: Array, drawn: Array, hits: int, n: int) -> Estimate:
    """F1 = 2J / (1 + J), J the share of hits among spans that are true or found (`intervals.f1_interval`)."""
    whole = float(total[GIVEN] + total[HAS] - total[hits])
    if not whole:
        return Estimate(value=0.0, low=0.0, high=1.0, n=n)
    shares = drawn[:, hits] / np.maximum(drawn[:, GIVEN] + drawn[:, HAS] - drawn[:, hits], 1)
    low, high = clustered(float(total[hits]), whole, shares, n)
    return Estimate(value=float(_values(total, hits)), low=2 * low / (1 + low), high=2 * high / (1 + high), n=n)


def _share(total: Array, drawn: Array, of: int, n: int) -> Estimate:
    if not total[of]:
        return Estimate(value=0.0, low=0.0, high=1.0, n=n)
    low, high = clustered(float(total[HITS]), float(total[of]), drawn[:, HITS] / np.maximum(drawn[:, of], 1), n)
    return Estimate(value=float(total[HITS] / total[of]), low=low, high=high, n=n)


def _macro(total: Array, drawn: Array, labels: list[LabelScore], n: int) -> Estimate:
    """Over the labels that are true or found somewhere, put together from their intervals (`mean_interval`)."""
    known: NDArray[np.bool_] = total[:, GIVEN] + total[:, HAS] > 0
    if not known.any():
        return Estimate(value=0.0, low=0.0, high=1.0, n=n)
    values, low, high = (np.array([getattr(one.f1, side) for one, there in zip(labels, known, strict=True) if there])
                         for side in ("value", "low", "high"))
    down, up = mean_interval(values, low, high, correlations(_values(drawn[:, known], HITS)))
    value = float(values.mean())
    return Estimate(value=value, low=min(value, down), high=max(value, up), n=n)
