"""How much wider intervals would be if whole groups of rows were drawn, and not rows one by one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tasks.classify import Classify, Floats
from .counts import Totals, decisions
from .intervals import jackknife

BLOCKS = 200


def widening(task: Classify, y: NDArray[Any], logits: Floats, groups: Sequence[Hashable], *, seed: int = 0) -> float:
    """Standard error of the task's metric over groups, as a multiple of that over rows.

    That is the square root of Kish's design effect (1965, "Survey Sampling", section 8.2). Both variances are the
    jackknife's with blocks left out (Wolter 2007, "Introduction to Variance Estimation", chapter 4): blocks of
    whole groups, and as many of single rows.

    Args:
        y: [rows] class indices, or [rows, labels] 0/1 for multi-label.
        logits: [rows, labels].
        groups: [rows] rows of one value belong together.

    Returns:
        1 where every row is a group of its own, or where no answer varies.
    """
    numbers = np.unique(np.asarray([str(one) for one in groups]), return_inverse=True)[1]
    count = int(numbers.max()) + 1 if len(numbers) else 0
    if count < 2 or count == len(numbers):
        return 1.0
    rng, decided = np.random.default_rng(seed), decisions(task, logits)
    blocks = min(count, BLOCKS)
    together = (rng.permutation(count) % blocks)[numbers]
    apart = rng.permutation(len(numbers)) % blocks
    by_group, by_row = (jackknife(_without(task, y, decided, block, blocks)) for block in (together, apart))
    return float(np.sqrt(by_group / by_row)) if by_row > 0 else 1.0


def _without(task: Classify, y: NDArray[Any], decided: NDArray[Any], block: NDArray[np.int64],
             blocks: int) -> NDArray[np.float64]:
    """The metric without each of the blocks. -> [blocks]"""
    shape = (blocks, len(task.labels))
    hits, given, has, right = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(blocks)
    if task.multi_label:
        for part, rows in ((hits, y & decided), (given, decided), (has, y)):
            np.add.at(part, block, rows)
        np.add.at(right, block, (y == decided).all(axis=1))
    else:
        np.add.at(hits, (block, y), y == decided)
        np.add.at(given, (block, decided), 1)
        np.add.at(has, (block, y), 1)
        np.add.at(right, block, y == decided)
    rows = np.bincount(block, minlength=blocks).astype(np.float64)
    left = (part.sum(axis=0) - part for part in (hits, given, has, right, rows))
    return Totals(*left).metric(task.metric)
