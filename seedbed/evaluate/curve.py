"""Would more data help? The learning curve, carried on to twice the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .counts import Array
from .intervals import Z
from .result import CurvePoint, LearningCurve

POWERS = np.linspace(0.1, 1.5, 15)
"""Exponents tried: from slower than any that Hestness et al. (2017) found in practice to faster than theory's 1."""
DRAWS = 2000
WORTH = 0.01
"""A gain below this is not worth labelling twice the rows."""
FEWEST = 3


def learning_curve(points: Sequence[CurvePoint], *, candidate: str = "", seed: int = 0) -> LearningCurve:
    """The points with a sentence: would more data help, by how much, how sure.

    A power law, error = a n^-b + c with a, c >= 0, is fitted by weighted least squares (Figueroa et al. 2012,
    "Predicting sample size required for classification performance"; Viering and Loog 2022, "The shape of learning
    curves") and read off at twice the rows. How sure: the fit is repeated on scores drawn anew from their
    intervals (parametric bootstrap). The scores share test rows, which makes the curve steadier than these draws,
    so the interval is rather too wide than too narrow.

    Args:
        points: score by training rows; scores where higher is better, at most 1.
        candidate: name of what was trained.
        seed: of the draws.
    """
    ordered = sorted(points, key=lambda point: point.rows)
    distinct = len({point.rows for point in ordered})
    if distinct < FEWEST:
        verdict = (f"Too few points to say whether more data would help: {distinct} "
                   f"{'size' if distinct == 1 else 'sizes'} of training data, at least {FEWEST} are needed.")
    else:
        verdict = _verdict(ordered, np.random.default_rng(seed))
    return LearningCurve(candidate=candidate, points=list(ordered), verdict=verdict)


def _verdict(points: list[CurvePoint], rng: np.random.Generator) -> str:
    rows = np.array([point.rows for point in points], float)
    error = 1 - np.array([point.score.value for point in points])
    spread = np.array([max((point.score.high - point.score.low) / (2 * Z), 1e-4) for point in points])
    drawn = np.vstack([error, error + rng.normal(size=(DRAWS, len(points))) * spread])
    gains = _gain_of_doubling(rows, np.clip(drawn, 0, 1), spread)
    gain, (low, high), sure = gains[0], np.quantile(gains[1:], [0.025, 0.975]), float((gains[1:] >= WORTH).mean())
    most, fewest = int(rows[-1]), min(point.score.n for point in points)
    figures = (f"the curve through {len(points)} points, each measured on {fewest:,} rows, gives {gain:+.3f} "
               f"(95 % interval {min(low, gain):+.3f} to {max(high, gain):+.3f})")
    double = f"twice the {most:,} training rows"
    if sure >= 0.9:
        return f"More data would help: for {double}, {figures}."
    if sure >= 0.65:
        return f"More data would probably help: for {double}, {figures}."
    if high < WORTH or sure <= 0.1:
        return f"More data of this kind would hardly help: for {double}, {figures}."
    return f"It is open whether more data would help: for {double}, {figures}."


def _gain_of_doubling(rows: Array, errors: Array, spread: Array) -> Array:
    """Fall of the error when the largest number of rows is doubled [draws]. errors: [draws, points]"""
    weight = 1 / spread ** 2
    best, gain = np.full(len(errors), np.inf), np.zeros(len(errors))
    for power in POWERS:
        x = (rows / rows[-1]) ** -power  # [points]
        mean_x, mean_e = np.average(x, weights=weight), errors @ weight / weight.sum()
        slope = ((errors - mean_e[:, None]) @ (weight * (x - mean_x))) / (weight * (x - mean_x) ** 2).sum()
        floor = mean_e - slope * mean_x
        through = (errors @ (weight * x)) / (weight * x * x).sum()  # the slope when the floor is held at 0
        slope, floor = np.where(floor < 0, through, slope), np.maximum(floor, 0)
        falls = slope > 0
        slope, floor = np.where(falls, slope, 0), np.where(falls, floor, mean_e)
        misfit = ((errors - slope[:, None] * x - floor[:, None]) ** 2) @ weight
        better = misfit < best - 1e-12
        best, gain = np.where(better, misfit, best), np.where(better, slope * (1 - 2 ** -power), gain)
    return gain
