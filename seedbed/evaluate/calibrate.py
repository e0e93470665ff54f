"""Does a confidence of 80 % mean right four times in five? And the temperature that mends it where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Estimate
from ..tasks.classify import Classify, Floats
from .counts import Array, blocks, checked
from .intervals import share
from .result import Calibration, Reliability
from .scores import losses

BINS, ROWS_A_BIN = 10, 20
PRIOR = 0.5
"""Standard deviation of log temperature around 0 that is assumed before any row is seen."""
RANGE = 3.0
"""Bound of log temperature: a factor of 20 either way."""


def fit_temperature(task: Classify, y: NDArray[Any], logits: Floats) -> float:
    """The temperature that makes confidences honest, fitted on validation rows.

    Guo et al. (2017), "On calibration of modern neural networks": divide the logits by one number, found by
    maximum likelihood. With few rows, or where every one is right, the likelihood would take any number, so a
    prior (log temperature normal around 0) draws it towards 1; it weighs as much as some 20 rows.

    Returns:
        The temperature; 1 when there are no rows.
    """
    if not len(y):
        return 1.0
    checked(task, y, [("The candidate", logits)])
    from scipy.optimize import minimize_scalar

    def cost(log_temperature: float) -> float:
        fit = losses(task, y, logits, float(np.exp(log_temperature))).sum() * (len(task.labels) if task.multi_label
                                                                               else 1)
        return float(fit + log_temperature ** 2 / (2 * PRIOR ** 2))

    found = minimize_scalar(cost, bounds=(-RANGE, RANGE), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def calibration(task: Classify, y: NDArray[Any], logits: Floats, temperature: float, *, seed: int = 0) -> Calibration:
    """Expected calibration error before and after the temperature, and the reliability diagram after it.

    Bins hold equal numbers of decisions (Nixon et al. 2019, "Measuring calibration in deep learning"): bins of
    equal width leave most of them empty, because most confidences are high. At least 20 rows a bin, at most 10
    bins. For multi-label every label of every row is one decision.

    Args:
        y: [rows] class indices, or [rows, labels] 0/1, of rows that the temperature was not fitted on.
        logits: [rows, labels].
        temperature: from `fit_temperature`.
        seed: of the bootstrap.

    Raises:
        DataError: no rows, or logits that are not numbers.
    """
    checked(task, y, [("The candidate", logits)])
    before, _ = _measure(task, y, logits, 1.0, seed)
    after, bins = _measure(task, y, logits, temperature, seed)
    return Calibration(temperature=temperature, ece_before=before, ece_after=after, bins=bins)


def _measure(task: Classify, y: NDArray[Any], logits: Floats, temperature: float,
             seed: int) -> tuple[Estimate, list[Reliability]]:
    probabilities = task.probabilities(logits, temperature).astype(np.float64)
    decided = task.decide(probabilities.astype(np.float32))
    if task.multi_label:
        confidence, right = np.maximum(probabilities, 1 - probabilities), decided == y
    else:
        confidence, right = probabilities.max(axis=1)[:, None], (decided == y)[:, None]
    rows = len(y)  # confidence, right: [rows, decisions a row]
    count = int(np.clip(rows // ROWS_A_BIN, 1, BINS))
    ordered = np.sort(confidence.ravel())
    edges = np.unique([part[0] for part in np.array_split(ordered, count)][1:])  # equal confidences stay together
    place = np.searchsorted(edges, confidence, side="right")
    sizes = np.bincount(place.ravel(), minlength=len(edges) + 1)
    sums = np.bincount(place.ravel(), weights=confidence.ravel(), minlength=len(edges) + 1)
    hits = np.bincount(place.ravel(), weights=right.ravel().astype(float), minlength=len(edges) + 1)
    bins = [Reliability(confidence=float(sums[i] / sizes[i]), accuracy=share(float(hits[i]), float(sizes[i])),
                        n=int(sizes[i])) for i in range(len(sizes)) if sizes[i]]
    value = float(np.abs(hits - sums).sum() / confidence.size)
    low, high = _interval(confidence, right, place, len(sizes), value, np.random.default_rng(seed))
    return Estimate(value=value, low=low, high=high, n=rows), bins


def _interval(confidence: Array, right: NDArray[np.bool_], place: NDArray[np.int64], bins: int, value: float,
              rng: np.random.Generator) -> tuple[float, float]:
    """Interval of the expected calibration error.

    The error is a sum of absolute values, so chance alone makes it positive, and redrawing rows adds as much
    again: the percentile bootstrap never covers a small error. The draws are therefore moved down by what the
    redrawing added (twice at the low end, where both effects stand). And where a perfectly calibrated model
    would show as much by chance (consistency resampling, Broecker and Smith 2007), the interval reaches 0.
    """
    rows = len(confidence)
    draws = int(np.clip(20_000_000 // confidence.size, 100, 500))
    gap = np.zeros((rows, bins))
    np.add.at(gap, (np.arange(rows)[:, None], place), right - confidence)
    redrawn = np.concatenate([np.abs(rng.multinomial(rows, np.full(rows, 1 / rows), size=block) @ gap).sum(axis=1)
                              for block in blocks(draws, rows)]) / confidence.size
    flat, into = confidence.ravel(), np.eye(bins)[place.ravel()]
    honest = np.concatenate([np.abs(((rng.random((block, flat.size)) < flat) - flat) @ into).sum(axis=1)
                             for block in blocks(draws, flat.size)]) / confidence.size
    added = float(redrawn.mean()) - value
    low, high = np.quantile(redrawn, [0.025, 0.975])
    low = 0.0 if value <= np.quantile(honest, 0.975) else float(low) - 2 * max(0.0, added)
    return max(0.0, min(value, low)), min(1.0, max(value, float(high) - added))
