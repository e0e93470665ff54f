"""How much accuracy may be lost at most when one model takes the place of another?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

DRAWS = 200_000
"""Of the Dirichlet distribution where it has no closed form: the bound moves by some 0.2 % of itself."""


def upper_bound(losses: NDArray[np.float64], confidence: float, seed: int = 0) -> float:
    """Upper bound of the mean of numbers between -1 and 1 that holds with probability `confidence`.

    Gaffke (2005), "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
    variable"; Phan, Thomas and Learned-Miller (2021), "Towards practical mean bounds for small samples", show that
    it is never looser than those of Hoeffding and Anderson. The values, and the largest that is possible (1), are
    averaged with weights drawn evenly from all weights that sum to 1 (Dirichlet); the bound is that average's
    quantile. For numbers that are only 0 or 1 it is the bound of Clopper and Pearson. It asks nothing of the
    distribution: a normal interval is far too short where nearly all rows are 0.

    Args:
        losses: [rows] of a paired comparison: right before minus right after.
        confidence: such as 0.95.
        seed: of the draws.

    Raises:
        DataError: no rows.
    """
    if not len(losses):
        raise DataError("There are no rows to bound a loss with.", "Give a test split.")
    values, counts = np.unique(np.asarray(losses, np.float64), return_counts=True)
    if values[0] < -1 or values[-1] > 1:
        raise ValueError("losses are not between -1 and 1")
    if len(values) == 1 and values[0] == 1:
        return 1.0
    values, counts = (values, counts + (values == 1)) if values[-1] == 1 else (
        np.append(values, 1.0), np.append(counts, 1))
    if len(values) == 2:
        from scipy.stats import beta
        return float(values[0] + (1 - values[0]) * beta.ppf(confidence, counts[1], counts[0]))
    weights = np.random.default_rng(seed).standard_gamma(counts, (DRAWS, len(counts)))
    return float(np.quantile(weights @ values / weights.sum(axis=1), confidence))


def provable(rows: int, confidence: float) -> float:
    """The least bound that so many rows can give: that of rows of which none is lost."""
    return upper_bound(np.zeros(rows), confidence)
