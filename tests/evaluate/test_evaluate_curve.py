from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from coverage_study import CURVES, curve_coverage

from seedbed.evaluate.curve import learning_curve
from seedbed.evaluate.result import CurvePoint
from seedbed.records import Estimate


def points(score: Callable[[float], float], sizes: tuple[int, ...], half: float) -> list[CurvePoint]:
    return [CurvePoint(rows=n, score=Estimate(value=score(n), low=score(n) - half, high=score(n) + half, n=500))
            for n in sizes]


SIZES = (50, 100, 200, 400, 800)


def rising(rows: float) -> float:
    return float(1 - 2 * rows ** -.4)


def test_a_rising_curve_would_gain() -> None:
    found = learning_curve(points(rising, SIZES, .01), candidate="slm")
    assert found.candidate == "slm" and found.points[0].rows == 50
    assert found.verdict.startswith("More data would help: for twice the 800 training rows")
    assert "5 points, each measured on 500 rows" in found.verdict
    gain = float(found.verdict.split("give +")[1].split()[0])
    assert gain == pytest.approx(rising(1600) - rising(800), abs=.006)


def test_a_flat_or_falling_curve_would_not() -> None:
    assert "hardly help" in learning_curve(points(lambda n: .8, SIZES, .005)).verdict
    falling = learning_curve(points(lambda n: .9 - n / 10_000, SIZES, .01)).verdict
    assert "hardly help" in falling and "interval +0.000" in falling


def test_noise_leaves_it_open() -> None:
    verdict = learning_curve(points(lambda n: .7 + .005 * np.log(n / 50), (50, 100, 200), .1)).verdict
    assert "open" in verdict or "probably" in verdict


def test_too_few_points() -> None:
    assert "Too few points" in learning_curve([]).verdict
    assert "1 size of" in learning_curve(points(rising, (50, 50, 50), .01)).verdict


def test_points_are_sorted() -> None:
    made = points(rising, SIZES, .02)
    assert learning_curve(made[::-1]) == learning_curve(made)


@pytest.mark.parametrize("name", CURVES)
def test_the_interval_holds_the_gain(name: str) -> None:
    assert curve_coverage(CURVES[name], .03, 60) >= .9
