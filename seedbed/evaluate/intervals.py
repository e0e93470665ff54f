"""Confidence intervals that keep their promise when cases are few, and corrections for many tests at once.

The plain percentile bootstrap does not: with three examples of a class, all wrong, every resample says 0 and the
interval is 0 to 0. Shares therefore use Wilson's interval, a class's F1 is turned into a share first, and averages
are put together from these parts (docs/evaluation.md has the measured coverage).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Estimate

Array = NDArray[np.float64]
LEVEL = 0.95
Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)


def wilson(part: Any, whole: Any, z: float = Z) -> tuple[Array, Array]:
    """Interval of a share, part/whole, elementwise; 0 to 1 where the whole is 0.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference"; recommended for small
    samples by Brown, Cai and DasGupta (2001). The whole need not be a whole number (an effective sample size).
    """
    k, n = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    safe = np.where(n > 0, n, 1.0)
    share = k / safe
    middle = share + z * z / (2 * safe)
    half = z * np.sqrt(np.maximum(share * (1 - share), 0) / safe + z * z / (4 * safe * safe))
    scale = 1 + z * z / safe
    # At the ends the formula is exact only up to rounding; an interval must hold its own estimate.
    low = np.where(n > 0, np.minimum(np.clip((middle - half) / scale, 0, 1), share), 0.0)
    high = np.where(n > 0, np.maximum(np.clip((middle + half) / scale, 0, 1), share), 1.0)
    return low, high


def share(part: float, whole: float) -> Estimate:
    """A share with Wilson's interval; of nothing: 0, from 0 to 1, n = 0."""
    low, high = wilson(part, whole)
    return Estimate(value=float(part / whole) if whole else 0.0, low=float(low), high=float(high), n=round(whole))


def jackknife(without: Array) -> float:
    """Variance of a figure from its values without each of the cases (Tukey 1958)."""
    n = len(without)
    return (n - 1) / n * float(((without - without.mean()) ** 2).sum())


def ratio(part: Array, whole: NDArray[Any]) -> Estimate:
    """Sum over sum, with its interval over cases.

    Cases are what was drawn, not what they hold: the tokens of one row are alike. The spread is the jackknife's (for
    ratios Cochran 1977, "Sampling Techniques", section 6.17), which is not too small for few cases as the linearized
    one is, with Student's t.

    Args:
        part, whole: [cases], two at the least.

    Raises:
        ValueError: fewer cases.
    """
    cases = len(part)
    if cases < 2:
        raise ValueError("one case has no spread")
    value = float(part.sum() / max(1, whole.sum()))
    reach = students(cases) * math.sqrt(jackknife(ratio_without(part, whole)))
    return Estimate(value=value, low=value - reach, high=value + reach, n=cases)


def ratio_without(part: Array, whole: NDArray[Any]) -> Array:
    """[cases] sum over sum without each of the cases."""
    return np.asarray((part.sum() - part) / np.maximum(whole.sum() - whole, 1))


def bounded(value: float, without: Array, most: float = 1.0) -> Estimate:
    """A figure that ends at 0 and at `most`, with its interval over cases.

    The spread is the jackknife's, which serves means, ratios and BLEU of a corpus alike. Few cases can all score 0,
    so the interval is Wilson's with as many cases as that spread speaks for (Korn and Graubard 1998, "Confidence
    intervals for proportions with small expected number of positive counts estimated from survey data") and Student's
    t.
    docs/train.md has its coverage beside the bootstrap's.

    Args:
        without: [cases] the figure without each of them.
    """
    cases, share = len(without), value / most
    if cases < 2:
        return Estimate(value=value, low=0.0, high=most, n=cases)
    variance = jackknife(without / most)
    effective = share * (1 - share) / variance if variance > 1e-18 and 0 < share < 1 else cases
    low, high = wilson(share * effective, effective, students(cases))
    return Estimate(value=value, low=float(low) * most, high=float(high) * most, n=cases)


def students(cases: int, level: float = LEVEL) -> float:
    """How many standard errors an interval reaches, when so many cases told the spread (Student's t)."""
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 2, cases - 1))


def f1_interval(hits: Any, given: Any, has: Any) -> tuple[Array, Array]:
    """Interval of the F1 of a class.

    F1 = 2J / (1 + J), where J is the share of hits among the rows that have the class or were given it. J is a
    plain share, so Wilson's interval of J, carried over, is the interval of F1: the "Wilson indirect" method of
    Lam, Gopal and Qian (2023), "Confidence intervals for the F1 score: a comparison of four methods".
    """
    low, high = wilson(hits, np.asarray(given) + np.asarray(has) - np.asarray(hits))
    return 2 * low / (1 + low), 2 * high / (1 + high)


def mean_interval(values: Array, low: Array, high: Array, correlation: Array) -> tuple[float, float]:
    """Interval of the plain mean of estimates from their own intervals and correlations.

    MOVER of Zou and Donner (2008), "Construction of confidence limits about effect measures": the distances of
    the limits from the estimates are added as variances would be.

    Args:
        values, low, high: [parts]; correlation: [parts, parts].
    """
    down, up = values - low, high - values
    middle = float(values.mean())
    reach = [math.sqrt(max(0.0, float(d @ correlation @ d))) / len(values) for d in (down, up)]
    return max(float(low.mean()), middle - reach[0]), min(float(high.mean()), middle + reach[1])


def difference(first: Estimate, second: Estimate, correlation: float) -> Estimate:
    """First minus second, measured on the same rows.

    MOVER for paired estimates: Newcombe (1998), "Improved confidence intervals for the difference between binomial
    proportions based on paired data", method 10, carried to any estimates by Zou and Donner (2008).
    """
    def reach(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b))

    value = first.value - second.value
    return Estimate(value=value, low=value - reach(first.value - first.low, second.high - second.value),
                    high=value + reach(first.high - first.value, second.value - second.low), n=first.n)


def correlations(drawn: Array) -> Array:
    """[parts, parts] of figures over draws [draws, parts]; one that never moves is correlated with none."""
    moving = drawn.std(axis=0) > 1e-9
    out: Array = np.eye(drawn.shape[1])
    if moving.sum() > 1:
        out[np.ix_(moving, moving)] = np.corrcoef(drawn[:, moving], rowvar=False)
    return out


def correlation(one: Array, other: Array) -> float:
    """Of two figures over the same draws; 0 where one never moves."""
    return float(correlations(np.stack([one, other], axis=1))[0, 1])


def clopper_pearson_upper(wrong: int, n: int, delta: float) -> float:
    """Upper bound of an error rate that holds with probability 1 - delta (Clopper and Pearson 1934)."""
    from scipy.stats import beta
    return 1.0 if wrong >= n else float(beta.ppf(1 - delta, wrong + 1, n - wrong))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: no false alarm at all among these tests, save with probability alpha (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    stepped = np.arange(len(p_values), 0, -1) * np.asarray(p_values, np.float64)[order]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return adjusted.tolist()
