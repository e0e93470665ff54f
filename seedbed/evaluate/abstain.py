"""When to answer and when to hand over to a person: risk against coverage, and a threshold that can be relied on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tasks.classify import Classify, Floats
from .counts import checked
from .intervals import clopper_pearson_upper, share
from .result import Abstention, Coverage

Part = tuple[NDArray[Any], Floats]
"""Targets as `task.encode` gives them, and logits [rows, labels]."""
POINTS = 50
STEPS, STARTS = 20, (2, 5, 10, 15, 20)
"""Coverages tried, in steps of 5 %, and those of them where a sequence of tests begins: 10, 25, 50, 75, 100 %."""
DELTA = 0.05


def _outcomes(task: Classify, part: Part, temperature: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Confidence and error of each row; a multi-label row is right when every label is."""
    y, logits = part
    checked(task, y, [("The candidate", logits)])
    probabilities = task.probabilities(logits, temperature)
    wrong = task.decide(probabilities) != y
    return task.confidence(probabilities), wrong.any(axis=1) if task.multi_label else wrong


def risk_coverage(task: Classify, y: NDArray[Any], logits: Floats, temperature: float) -> list[Coverage]:
    """Error among the answers, when only the surest are answered (El-Yaniv and Wiener 2010).

    At most 50 points from few answers to all; each error has Wilson's interval and the answered rows as n. Rows of
    equal confidence are answered together.

    Raises:
        DataError: no rows, or logits that are not numbers.
    """
    confidence, wrong = _outcomes(task, (y, logits), temperature)
    order = np.argsort(-confidence, kind="stable")
    errors = np.cumsum(wrong[order])
    n = len(order)
    last = np.flatnonzero(np.append(np.diff(confidence[order]) < 0, True))  # last row of each confidence
    wanted = np.ceil(np.linspace(n / POINTS, n, min(POINTS, n))).astype(int) - 1
    ends = np.unique(last[np.searchsorted(last, wanted)])
    return [Coverage(threshold=float(confidence[order[end]]), coverage=(int(end) + 1) / n,
                     risk=share(float(errors[end]), float(end + 1))) for end in ends]


def abstention(task: Classify, validation: Part, test: Part, temperature: float, target_error: float = 0.1, *,
               delta: float = DELTA) -> Abstention:
    """The threshold that keeps the error of the answers at most `target_error`, and what it gives on test.

    A threshold is accepted when the Clopper-Pearson upper bound of the error on validation, among the rows it
    answers, is at most the target. That is the bound of Geifman and El-Yaniv (2017), "Selective classification for
    deep neural networks"; trying many thresholds is paid for by fixed-sequence tests as in "Learn then test"
    (Angelopoulos et al. 2021): from each of up to five starting coverages the answers grow step by step until the
    first failure, each sequence at delta / starts. Starts with too few rows to pass even without an error are left
    out beforehand. With probability 1 - delta over validation sets the true error is within the target.

    Args:
        validation: rows that choose the threshold.
        test: rows that measure it.
        temperature: from `fit_temperature`; a threshold belongs to its temperature.
        target_error: share of wrong answers that is accepted.
        delta: chance that the promise fails.

    Returns:
        The threshold (0 answers everything, None: nothing can be promised, see `reason`), with coverage and error
        on test.

    Raises:
        DataError: no rows, or logits that are not numbers.
    """
    confidence, wrong = _outcomes(task, validation, temperature)
    threshold, reason = _threshold(confidence, wrong, target_error, delta)
    if threshold is None:
        return Abstention(target_error=target_error, threshold=None, coverage=None, error=None, reason=reason)
    sure, missed = _outcomes(task, test, temperature)
    answered = sure >= np.float32(threshold)
    count = int(answered.sum())
    return Abstention(target_error=target_error, threshold=threshold, coverage=share(count, len(answered)),
                      error=share(int(missed[answered].sum()), count) if count else None, reason=reason)


def _threshold(confidence: NDArray[np.float32], wrong: NDArray[np.bool_], target: float,
               delta: float) -> tuple[float | None, str]:
    n = len(confidence)
    ordered = np.sort(confidence)[::-1]
    grid = [float(ordered[max(0, math.ceil(n * step / STEPS) - 1)]) for step in range(1, STEPS + 1)]
    counts = [(int((confidence >= np.float32(t)).sum()), int(wrong[confidence >= np.float32(t)].sum())) for t in grid]
    starts = [s - 1 for s in STARTS]
    while starts and clopper_pearson_upper(0, counts[starts[0]][0], delta / len(starts)) > target:
        starts.pop(0)
    promise = f"an error of at most {target:.0%} with {1 - delta:.0%} confidence"
    if not starts:
        least = math.ceil(math.log(delta) / math.log(1 - target)) if 0 < target < 1 else n + 1
        return None, f"{n} validation rows cannot show {promise}; even without any error it takes {least}."
    best = -1
    for start in starts:
        step = start
        while step < STEPS and clopper_pearson_upper(counts[step][1], counts[step][0], delta / len(starts)) <= target:
            best, step = max(best, step), step + 1
    if best < 0:
        answered, errors = counts[starts[0]]
        return None, (f"No threshold is proven to give {promise}: of the {n} validation rows the surest {answered} "
                      f"hold {errors} wrong {'answer' if errors == 1 else 'answers'}.")
    answered, errors = counts[best]
    return (0.0 if answered == n else grid[best]), (
        f"{promise[0].upper()}{promise[1:]}: {errors} of the {answered} answered validation rows are wrong (of {n}).")
