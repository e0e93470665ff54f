"""The bound of what a form of a model that writes loses keeps its promise, as far as docs/compress.md says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from seedbed.evaluate.intervals import ratio, students
from seedbed.evaluate.rise import Rise

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


def rise(more: NDArray[np.float64], tokens: NDArray[np.int64] | None = None, unit: list[int] | None = None) -> Rise:
    tokens = np.full(len(more), 10) if tokens is None else tokens
    return Rise.of(np.full(len(more), 5.0), 5.0 + more, tokens, unit, 0.975, 0.02)


def test_even_cases_have_the_end_of_the_usual_interval() -> None:
    more = np.array([-1.0, 1.0] * 20) + 0.3
    found, usual = rise(more), ratio(more, np.full(40, 10))
    assert found.more == pytest.approx(0.03) == usual.value and found.skew == pytest.approx(0, abs=1e-9)
    assert found.bound == pytest.approx(usual.high) == found.at(0.975) > found.at(0.95) > found.at(0.5)
    assert found.after.value - found.before.value == pytest.approx(found.more) and found.n == 40


def test_a_row_that_goes_wrong_widens_the_bound_and_one_that_goes_right_does_not_narrow_it() -> None:
    more = np.zeros(40)
    more[7] = 4.0
    up, down = rise(more), rise(-more)
    assert up.skew > 5 and down.skew < -5
    assert up.bound > ratio(more, np.full(40, 10)).high
    assert down.bound == pytest.approx(ratio(-more, np.full(40, 10)).high)
    assert rise(np.zeros(40)).bound == 0


def test_rows_of_a_unit_count_once() -> None:
    rng = np.random.default_rng(0)
    more = np.repeat(rng.normal(0, 1, 40), 5)
    unit = np.repeat(np.arange(40), 5).tolist()
    assert rise(more, unit=unit).n == 40 and rise(more, unit=unit).error > 2 * rise(more).error
    assert rise(more, unit=unit).more == pytest.approx(rise(more).more)


@pytest.mark.parametrize(("draw", "true", "least"), [
    (lambda rng, size: rng.normal(0, 1, size), 0.0, 0.94),
    (lambda rng, size: rng.standard_t(3, size), 0.0, 0.94),
    (lambda rng, size: rng.exponential(1, size), 1.0, 0.9)])
def test_it_holds_about_as_often_as_it_says(draw: Draw, true: float, least: float) -> None:
    """30 rows of other lengths, the fewest that are taken, 1,000 times; at 95 %."""
    rng = np.random.default_rng(1)
    held, plain = 0, 0
    for _ in range(1000):
        tokens = rng.integers(5, 40, 30)
        found = rise(draw(rng, (30,)) * tokens, tokens)
        held += found.at(0.95) >= true
        plain += found.more + found.error * students(30, 0.9) >= true
    assert least <= held / 1000 <= 0.98 and plain <= held
