"""A figure of many cases before and after training: its interval, its gain on the same cases, and its test.

A case is what was drawn: a row, or all rows of a document, a file, a conversation, which are alike. Each has counts
that add up, and a figure is made of their sum; so its value without a case, or with a case's answers exchanged, is a
sum away, be it a mean, an F1 or BLEU of a corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Estimate
from ..tasks.metrics import mean
from .compare import EXCHANGES
from .figures import Figure
from .intervals import Array, bounded, correlation, difference, students, wilson

Of = Callable[[Array], Array]
"""[..., parts] sums of counts -> [...] the figure."""


def by_unit(values: NDArray[Any], unit: Sequence[int] | NDArray[Any] | None) -> NDArray[Any]:
    """[units, ...] what the rows of each unit have together. Without units, or where all rows are of one, which would
    tell no spread, rows are the cases.

    Args:
        values: [rows, ...]
        unit: [rows] a number for each; rows of the same number stand or fall together.
    """
    names, place = np.unique(np.arange(len(values)) if unit is None else np.asarray(unit), return_inverse=True)
    if unit is None or len(names) < 2:
        return values
    out = np.zeros((len(names), *values.shape[1:]), values.dtype)
    np.add.at(out, place, values)
    return out


def means(scores: Sequence[float] | Array, unit: Sequence[int] | NDArray[Any] | None = None) -> Array:
    """[units, 2] counts of the mean of scores: their sum and their number."""
    return by_unit(np.stack([np.asarray(scores, np.float64), np.ones(len(scores))], axis=1), unit)


def figure(name: str, title: str, before: Array, after: Array, baseline: Array | None = None, *, of: Of = mean,
           most: float = 1.0, seed: int = 0) -> Figure:
    """One figure, of which more is better.

    Args:
        before, after, baseline: [cases, parts] counts.
        of: makes the figure of their sum, from 0 to `most`.
        seed: of the exchanges.
    """
    gained, p_value = gain(after, before, of, most, seed=seed)
    first, last, least = (None if one is None else estimate(one, of, most) for one in (before, after, baseline))
    assert first is not None and last is not None
    return Figure(name=name, title=title, more=True, before=first, after=last, gain=gained, p_value=p_value,
                  baseline=least)


def estimate(counts: Array, of: Of = mean, most: float = 1.0) -> Estimate:
    """The figure of all cases with its interval (`intervals.bounded`). Cases that count nothing tell nothing: of a
    label that two of 100 rows have, two cases speak.

    Args:
        counts: [cases, parts].
    """
    telling = counts[(counts != 0).any(axis=1)]
    found = bounded(float(of(counts.sum(axis=0))), without_each(telling, of), most)
    return found.model_copy(update={"n": len(counts)})


def without_each(counts: Array, of: Of) -> Array:
    """[cases] the figure of all cases but each one."""
    return of(counts.sum(axis=0) - counts)


def gain(one: Array, other: Array, of: Of = mean, most: float = 1.0, *, seed: int = 0,
         exchanges: int = EXCHANGES) -> tuple[Estimate, float]:
    """One minus other on the same cases, with its interval and the p-value of "neither is better".

    The interval is `intervals.difference` with the correlation of the jackknife; where no case differs, it is what so
    many cases leave open. The test is the paired randomization test, two-sided (Yeh 2000; for BLEU Riezler and
    Maxwell 2005, "On some pitfalls in automatic evaluation and significance testing for MT"): were both equally good,
    each case's two answers could be exchanged. The arrangement that was seen counts as one of the draws (Phipson and
    Smyth 2010).

    Args:
        one, other: [cases, parts] counts.
    """
    cases, differ = len(one), (one != other).any(axis=1)
    if not differ.any():
        reach = most * float(wilson(0, cases, students(cases))[1]) if cases > 1 else most
        return Estimate(value=0.0, low=-reach, high=reach, n=cases), 1.0
    found = difference(estimate(one, of, most), estimate(other, of, most),
                       correlation(without_each(one, of), without_each(other, of)))
    rng, apart = np.random.default_rng(seed), (other - one)[differ]
    extreme, total, rest = 0, one.sum(axis=0), other.sum(axis=0)
    for begin in range(0, exchanges, 500):  # [exchanges, cases] coins, some at a time
        moved = rng.integers(0, 2, (min(500, exchanges - begin), len(apart))) @ apart
        extreme += int((np.abs(of(total + moved) - of(rest - moved)) >= abs(found.value) - 1e-9).sum())
    return found, (1 + extreme) / (1 + exchanges)
