"""How much the loss of a model that writes may rise at most when another form takes its place?"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..records import Estimate, Record
from .cases import by_unit
from .intervals import Array, jackknife, ratio, ratio_without, students


class Rise(Record):
    """The loss of a model and of a form of it on rows that it has not learned from, in nats a learned token."""

    n: int
    """Cases: rows, or units of rows that are alike."""
    before: Estimate
    after: Estimate
    more: float
    """After minus before."""
    error: float
    """Standard error of `more` over cases."""
    skew: float
    """Of the cases: above 0 where few of them rise by much."""
    bound: float
    """The loss rises by at most this, with the confidence."""
    confidence: float
    floor: float
    """The most that was allowed."""

    @classmethod
    def of(cls, before: Array, after: Array, tokens: NDArray[Any], unit: Any, confidence: float,
           floor: float) -> Self:
        """From what each row costs.

        Args:
            before, after: [rows] nats, summed over the learned tokens of each row.
            tokens: [rows] learned tokens.
            unit: [rows] number of the row's unit, whose rows are alike; None where each stands alone.

        Raises:
            ValueError: fewer than two rows.
        """
        before, after, tokens = (by_unit(one, unit) for one in (before, after, tokens))
        without = ratio_without(after - before, tokens)
        off = without.mean() - without  # a case that rises by more than the rest lowers the figure without it
        wide = float(np.sqrt((off ** 2).mean()))
        made = cls(n=len(tokens), before=ratio(before, tokens), after=ratio(after, tokens),
                   more=float((after - before).sum() / max(1, tokens.sum())), error=math.sqrt(jackknife(without)),
                   skew=float((off ** 3).mean()) / wide ** 3 if wide > 0 else 0.0, bound=0.0, confidence=confidence,
                   floor=floor)
        return made.model_copy(update={"bound": made.at(confidence)})

    def at(self, confidence: float) -> float:
        """The bound at a confidence, one-sided.

        The spread is the jackknife's with Student's t, as in `intervals.ratio`; where few cases rise by much, so that
        t alone would promise too much, the first term of the Edgeworth series is added (Johnson 1978, "Modified t
        tests and confidence intervals for asymmetrical populations"; Hall 1992, "On the removal of skewness by
        transformation"). Where few cases fall by much nothing is taken off. docs/compress.md has its coverage.
        """
        t = students(self.n, 2 * confidence - 1)
        return self.more + self.error * (t + max(0.0, self.skew) * (2 * t * t + 1) / (6 * math.sqrt(self.n)))
