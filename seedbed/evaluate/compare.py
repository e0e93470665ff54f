"""Is one candidate worse than another on the same rows?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tasks.classify import Classify, Floats
from .counts import Patterns, Totals, blocks, known_metric, patterns
from .intervals import correlation, difference
from .result import Comparison
from .scores import RESAMPLES, estimate, redraw

ALPHA = 0.05
EXCHANGES = 5000


def compare_decisions(task: Classify, y: NDArray[Any], best_decided: NDArray[Any], other_decided: NDArray[Any], *,
                      best: str, metric: str | None = None, seed: int = 0,
                      resamples: int = EXCHANGES) -> tuple[Comparison, float]:
    """Compare a candidate with the best one, paired by row; also the standard error of the difference.

    The test is the paired randomization test (Fisher 1935; for F1, Yeh 2000, "More accurate tests for the
    statistical significance of result differences"): were the two equally good, each row's two answers could be
    exchanged. One-sided, because the question is only whether the candidate is worse. The interval of the
    difference is that of `intervals.difference`, with the correlation of a paired bootstrap. The test is one-sided
    at 5 % and the interval two-sided at 95 %, so a candidate can be worse while its interval just reaches 0.

    Args:
        y, best_decided, other_decided: [rows] class indices, or [rows, labels] 0/1.
        best: name of the best candidate, for the record.
        metric: by default the task's.
        seed, resamples: of the exchanges.

    Raises:
        UserError: unknown metric.
    """
    metric = known_metric(metric or task.metric)
    rng = np.random.default_rng(seed)
    rows = patterns(task, y, best_decided, other_decided)
    redrawn = redraw(rows, RESAMPLES, rng)
    first, second = (estimate(metric, rows.totals(i), redrawn[i]) for i in (0, 1))
    one, two = (part.metric(metric) for part in redrawn)
    p_value = exchange_test(rows, metric, rng, resamples)
    record = Comparison(
        best=best, difference=difference(first, second, correlation(one, two)), p_value=p_value,
        worse=p_value < ALPHA,
        test=f"paired randomization test, {resamples:,} exchanges, one-sided at {ALPHA:.0%}; "
             f"interval from a paired bootstrap of {RESAMPLES:,} draws")
    return record, float((one - two).std())


def exchange_test(rows: Patterns, metric: str, rng: np.random.Generator, resamples: int = EXCHANGES) -> float:
    """One-sided p-value of "the first candidate is no better than the second".

    Rows of one pattern are alike, so exchanging each with probability 1/2 is one binomial draw a pattern. The
    observed arrangement counts as one of the draws, which keeps the test valid (Phipson and Smyth 2010).
    """
    first, second = rows.totals(0), rows.totals(1)
    observed = float(first.metric(metric) - second.metric(metric))
    differ = (rows.decided[0] != rows.decided[1]).any(axis=1)
    if not differ.any():
        return 1.0
    truth, old, new = (part[differ].astype(np.float32) for part in (rows.truth, *rows.decided))
    hits, given = truth * (new - old), new - old  # what one exchange adds to the first and takes from the second
    right = (new == truth).all(axis=1).astype(np.float32) - (old == truth).all(axis=1)
    as_good = 0
    for block in blocks(resamples, int(differ.sum())):
        swaps = _coins(rows.counts[differ], block, rng)
        one = Totals(first.hits + swaps @ hits, first.given + swaps @ given, first.has, first.right + swaps @ right,
                     first.rows)
        two = Totals(second.hits - swaps @ hits, second.given - swaps @ given, second.has,
                     second.right - swaps @ right, second.rows)
        as_good += int((one.metric(metric) - two.metric(metric) >= observed - 1e-12).sum())
    return (1 + as_good) / (1 + resamples)


def _coins(counts: NDArray[np.int64], draws: int, rng: np.random.Generator) -> Floats:
    """Heads among `counts` tosses of a fair coin [draws, patterns]; single tosses are drawn eight to the byte."""
    heads = np.empty((draws, len(counts)), np.float32)  # whole numbers: exact, and quick to multiply
    single = counts == 1
    packed = rng.integers(0, 256, size=(draws, -(-int(single.sum()) // 8)), dtype=np.uint8)
    heads[:, single] = np.unpackbits(packed, axis=1, count=int(single.sum()))
    heads[:, ~single] = rng.binomial(counts[~single], 0.5, size=(draws, int((~single).sum())))
    return heads


def chance_test(task: Classify, y: NDArray[Any], decided: NDArray[Any], metric: str,
                rng: np.random.Generator) -> float:
    """One-sided p-value of "the decisions have nothing to do with the targets".

    Label permutation test (Ojala and Garriga 2010, "Permutation tests for studying classifier performance"): the
    same decisions against shuffled targets. It catches what a comparison with the majority cannot: answers drawn
    at random reach a higher macro-F1 than one constant answer.
    """
    resamples = int(np.clip(20_000_000 // len(y), 200, 1000))
    width = len(task.labels)
    observed = float(patterns(task, y, decided).totals().metric(metric))
    counts = (lambda a: a.sum(axis=0)) if task.multi_label else (lambda a: np.bincount(a, minlength=width))
    given, has = counts(decided).astype(float), counts(y).astype(float)
    hits, right = np.zeros((resamples, width)), np.zeros(resamples)
    for i in range(resamples):
        shuffled = rng.permutation(y)
        if task.multi_label:
            hits[i] = (shuffled & decided).sum(axis=0)
            right[i] = (shuffled == decided).all(axis=1).sum()
        else:
            hits[i] = np.bincount(decided[shuffled == decided], minlength=width)
            right[i] = hits[i].sum()
    drawn = Totals(hits, given, has, right, np.asarray(float(len(y)))).metric(metric)
    return float((1 + (drawn >= observed - 1e-12).sum()) / (1 + resamples))
