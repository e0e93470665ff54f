"""Would more data help? The learning curve, carried on to twice the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .counts import Array
from .intervals import Z
from .result import CurvePoint, LearningCurve

POWERS = np.linspace(0.1, 1.0, 19)
"""Exponents: from the slowest that Hestness et al. (2017) found in practice to theory's fastest."""
FLOORS = np.linspace(0, 1, 41)
"""Share of the last error that no amount of data removes; 1 is a flat curve."""
STEPS = 81
WORTH = 0.01
"""A gain below this is not worth labelling twice the rows."""
FEWEST = 3


def learning_curve(points: Sequence[CurvePoint], *, candidate: str = "") -> LearningCurve:
    """The points with a sentence: would more data help, by how much, how sure.

    A power law, error = a n^-b + c with a, c >= 0, is fitted and read off at twice the rows (Figueroa et al. 2012,
    "Predicting sample size required for classification performance"; Viering and Loog 2022, "The shape of learning
    curves"). A few noisy points fit many such curves, so a whole grid is tried: the gain shown is the mean by
    likelihood, and its interval spans every curve that the points do not contradict (profile likelihood, Venzon
    and Moolgavkar 1988).

    Args:
        points: score by training rows; scores where higher is better, at most 1.
        candidate: name of what was trained.
    """
    ordered = sorted(points, key=lambda point: point.rows)
    distinct = len({point.rows for point in ordered})
    if distinct < FEWEST:
        verdict = (f"Too few points to say whether more data would help: {distinct} "
                   f"{'size' if distinct == 1 else 'sizes'} of training data, at least {FEWEST} are needed.")
    else:
        verdict = _verdict(ordered)
    return LearningCurve(candidate=candidate, points=list(ordered), verdict=verdict)


def _verdict(points: list[CurvePoint]) -> str:
    gains, misfit = _curves(points)
    weight = np.exp(-0.5 * misfit)
    gain, sure = float(np.average(gains, weights=weight)), float(weight[gains >= WORTH].sum() / weight.sum())
    possible = gains[misfit <= Z ** 2]
    low, high = float(possible.min()), float(possible.max())
    figures = (f"curves through {len(points)} points, each measured on {min(p.score.n for p in points):,} rows, "
               f"give {gain:+.3f} (95 % interval {min(low, gain):+.3f} to {max(high, gain):+.3f})")
    double = f"for twice the {points[-1].rows:,} training rows, {figures}."
    if low >= WORTH:
        return f"More data would help: {double}"
    if sure >= 0.8:
        return f"More data would probably help: {double}"
    if high < WORTH or sure <= 0.2:
        return f"More data of this kind would {'hardly' if high < WORTH else 'probably hardly'} help: {double}"
    return f"It is open whether more data would help: {double}"


def _curves(points: list[CurvePoint]) -> tuple[Array, Array]:
    """For every curve of the grid, the fall of its error when the largest number of rows is doubled, and its misfit:
    squared distances in standard errors, above those of the best curve."""
    rows = np.array([point.rows for point in points], float)
    error = np.array([1 - point.score.value for point in points])
    spread = np.array([max((point.score.high - point.score.low) / (2 * Z), 1e-3) for point in points])
    reach = 4 * spread.max()
    last = np.linspace(max(0.0, error[-1] - reach), min(1.0, error[-1] + reach), STEPS)
    e, b, f = (axis.ravel() for axis in np.meshgrid(last, POWERS, FLOORS, indexing="ij"))  # [curves]
    misfit = np.zeros(len(e))
    for n, seen, s in zip(rows, error, spread, strict=True):
        misfit += ((e * (f + (1 - f) * (n / rows[-1]) ** -b) - seen) / s) ** 2
    return np.asarray(e * (1 - f) * (1 - 2 ** -b)), misfit - misfit.min()
