"""Rows of one group are no independent witnesses: the widening says by how much."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.evaluate.grouped import widening
from seedbed.tasks.classify import Classify


def answers(groups: int, rows: int, alike: bool, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """70 % of the answers are right: of whole groups, or of rows one by one."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, groups * rows)
    right = np.repeat(rng.random(groups) < 0.7, rows) if alike else rng.random(groups * rows) < 0.7
    decided = np.where(right, y, 1 - y)
    return y, np.eye(2)[decided], [f"g{i}" for i in range(groups) for _ in range(rows)]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "micro_f1"])
def test_groups_that_answer_alike_count_once_each(metric: str) -> None:
    task = Classify(("no", "yes"), metric=metric)
    alike = [widening(task, *answers(150, 9, True, seed), seed=seed) for seed in range(5)]
    assert np.mean(alike) == pytest.approx(3, rel=0.1)  # nine rows of one group are one: sqrt(9)
    free = [widening(task, *answers(150, 9, False, seed), seed=seed) for seed in range(5)]
    assert np.mean(free) == pytest.approx(1, abs=0.1)


def test_with_many_groups_blocks_of_them_are_left_out() -> None:
    task = Classify(("no", "yes"), metric="accuracy")
    found = [widening(task, *answers(1000, 4, True, seed), seed=seed) for seed in range(5)]
    assert np.mean(found) == pytest.approx(2, rel=0.12)


def test_rows_that_are_groups_of_their_own_change_nothing() -> None:
    task = Classify(("no", "yes"), metric="accuracy")
    assert widening(task, *answers(50, 1, False, 0)) == 1
    y, logits, _ = answers(50, 1, False, 0)
    assert widening(task, y, logits, ["one"] * 50) == 1
    assert widening(task, y, np.eye(2)[y], [i // 2 for i in range(50)]) == 1  # all right: nothing varies


def test_several_labels() -> None:
    task = Classify(("a", "b"), multi_label=True, metric="micro_f1")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (600, 2))
    decided = np.where(np.repeat(rng.random(150) < 0.7, 4)[:, None], y, 1 - y)
    logits = np.where(decided, 5.0, -5.0)
    assert widening(task, y, logits, [i // 4 for i in range(600)]) > 1.5
