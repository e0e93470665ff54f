from __future__ import annotations

import math

import numpy as np
import pytest

from seedbed.errors import DataError
from seedbed.evaluate.floor import provable, upper_bound
from seedbed.evaluate.intervals import clopper_pearson_upper


def test_of_losses_alone_it_is_the_bound_of_clopper_and_pearson() -> None:
    for lost, rows in ((0, 100), (3, 100), (17, 60)):
        losses = np.array([1.0] * lost + [0.0] * (rows - lost))
        assert upper_bound(losses, 0.95) == pytest.approx(clopper_pearson_upper(lost, rows, 0.05))
    assert provable(99, 0.95) == pytest.approx(1 - 0.05 ** (1 / 99))


def test_gains_lower_it_and_the_draws_are_close_to_the_closed_form() -> None:
    losses = np.array([1.0] * 4 + [0.0] * 96)
    assert upper_bound(np.append(losses[:-3], [-1.0] * 3), 0.95) < upper_bound(losses, 0.95)
    nearly = np.append(losses[:-1], 1e-9)  # a third value, so that it is drawn
    assert upper_bound(nearly, 0.95) == pytest.approx(upper_bound(losses, 0.95), rel=0.01)
    assert upper_bound(nearly, 0.95) == upper_bound(nearly, 0.95)


def test_the_ends() -> None:
    assert upper_bound(np.ones(5), 0.95) == 1.0
    assert upper_bound(-np.ones(5), 0.95) == pytest.approx(-1 + 2 * (1 - 0.05 ** (1 / 5)))
    assert upper_bound(np.zeros(400), 0.99) > upper_bound(np.zeros(400), 0.9) > 0
    with pytest.raises(DataError, match="no rows"):
        upper_bound(np.zeros(0), 0.95)
    with pytest.raises(ValueError, match="between"):
        upper_bound(np.array([0.0, 1.5]), 0.95)


@pytest.mark.parametrize(("rows", "lost", "won"), [
    (40, 0.02, 0.0), (40, 0.02, 0.02), (150, 0.01, 0.005), (400, 0.004, 0.0), (400, 0.02, 0.03),
    pytest.param(150, 0.1, 0.05, marks=pytest.mark.slow)])
def test_it_covers_as_often_as_it_says(rows: int, lost: float, won: float) -> None:
    """The true loss is within the bound in 95 % of the draws at the least, whatever is rare or common."""
    chance, repeats, seen, covered = np.random.default_rng(7), 600, dict[tuple[int, int], float](), 0
    for _ in range(repeats):
        worse, better, _ = chance.multinomial(rows, (lost, won, 1 - lost - won))
        if (worse, better) not in seen:
            seen[worse, better] = upper_bound(
                np.repeat([1.0, -1.0, 0.0], (worse, better, rows - worse - better)), 0.95)
        covered += seen[worse, better] >= lost - won
    slack = 2.5 * math.sqrt(0.05 * 0.95 / repeats)
    assert covered / repeats >= 0.95 - slack


def test_it_is_tighter_than_hoeffding_where_few_rows_differ() -> None:
    losses = np.array([1.0] * 2 + [-1.0] + [0.0] * 297)
    hoeffding = losses.mean() + 2 * math.sqrt(math.log(1 / 0.05) / (2 * 300))
    assert upper_bound(losses, 0.95) < hoeffding / 5
