"""What answers score against references: each row gives counts that add up, and a figure is made of their sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counter = Callable[[Sequence[str], Sequence[str]], Array]
"""(answers, references) -> [rows, parts]"""


@dataclass(frozen=True)
class Metric:
    """A figure of many rows. More is better in all of them.

    The counts of single rows are kept, so that the figure of any draw of rows, of all rows but one, or of rows whose
    answers are exchanged is a sum away: BLEU of a corpus is as easy to give an interval as a mean.

    Args:
        name: a word for programs.
        title: for people, with its unit.
        count: the counts of each row.
        of: [..., parts] sums of counts -> [...] the figure, from 0 to `most`.
    """

    name: str
    title: str
    count: Counter
    of: Callable[[Array], Array]
    most: float = 1.0


def mean_of(score: Callable[[str, str], float]) -> Counter:
    """Counts of a score that each row has for itself: [score, 1]."""
    def count(answers: Sequence[str], references: Sequence[str]) -> Array:
        return np.array([(score(a, r), 1.0) for a, r in zip(answers, references, strict=True)]).reshape(-1, 2)
    return count


def mean(sums: Array) -> Array:
    """First part over second."""
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1e-12))


def f1(hits: Any, given: Any, has: Any) -> Array:
    """Harmonic mean of precision (hits of those given) and recall (hits of those there are); of nothing 0."""
    return np.asarray(2 * hits / np.maximum(given + has, 1e-12))
