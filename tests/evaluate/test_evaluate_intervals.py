from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from seedbed.evaluate.intervals import (
    clopper_pearson_upper,
    difference,
    f1_interval,
    holm,
    mean_interval,
    ratio,
    share,
    wilson,
)
from seedbed.records import Estimate


@pytest.mark.parametrize(("part", "whole"), [(0, 1), (0, 10), (3, 10), (10, 10), (731, 1000)])
def test_wilson_is_scipys(part: int, whole: int) -> None:
    expected = binomtest(part, whole).proportion_ci(method="wilson")
    low, high = wilson(part, whole)
    assert (low, high) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


def test_a_share_of_nothing_is_unknown() -> None:
    found = share(0, 0)
    assert (found.value, found.low, found.high, found.n) == (0, 0, 1, 0) and found.tentative


def test_f1_interval_holds_the_f1_and_is_unknown_for_nothing() -> None:
    low, high = f1_interval([8, 0, 0], [10, 5, 0], [12, 0, 0])
    assert low[0] < 16 / 22 < high[0] and low[1] == 0 and 0 < high[1] < 1 and (low[2], high[2]) == (0, 1)


def test_a_mean_of_equal_parts_is_as_wide_as_one() -> None:
    value, low, high = np.array([.5, .5]), np.array([.4, .4]), np.array([.7, .7])
    assert mean_interval(value, low, high, np.ones((2, 2))) == (pytest.approx(.4), pytest.approx(.7))
    narrow = mean_interval(value, low, high, np.eye(2))
    assert narrow == (pytest.approx(.5 - .1 / 2 ** .5), pytest.approx(.5 + .2 / 2 ** .5))


def test_newcombes_published_example() -> None:
    # Newcombe (1998), table II, case 36/2/12/0 (cells of two tests on 50 people): 0.2 with 0.0569 to 0.3404.
    # Method 10 corrects phi for continuity; without the correction (method 8) it is 0.0618 to 0.3242 or wider.
    one, two = share(48, 50), share(36, 50)
    apart = difference(one, two, 0.0)
    low, high = apart.low, apart.high
    assert 0.05 < low < 0.15 < 0.24 < high < 0.40
    equal = Estimate(value=.5, low=.4, high=.6, n=9)
    same = difference(equal, equal, 1.0)
    assert (same.low, same.value, same.high) == (0, 0, 0)


def test_clopper_pearson_bounds() -> None:
    assert clopper_pearson_upper(0, 28, .05) > .1 >= clopper_pearson_upper(0, 29, .05)
    assert clopper_pearson_upper(5, 5, .05) == 1
    upper = clopper_pearson_upper(3, 50, .05)
    assert binom.cdf(3, 50, upper) == pytest.approx(.05)


def test_corrections() -> None:
    p = [.01, .04, .03, .5]
    assert holm(p) == pytest.approx([.04, .09, .09, .5])
    assert holm([]) == []


@pytest.mark.parametrize(("rows", "least"), [(8, 0.9), (30, 0.93), (100, 0.93)])
def test_the_interval_holds_the_truth_as_often_as_it_says(rows: int, least: float) -> None:
    """Rows of unequal length with skewed losses: of eight such rows no interval of this kind promises 95 %."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        tokens = random.integers(5, 60, rows)
        nats = tokens * random.gamma(4, 0.5, rows)  # 2 nats a token
        held += (found := ratio(nats, tokens)).low <= 2 <= found.high
    assert least <= held / 1000 <= 0.975


def test_one_row_proves_nothing() -> None:
    with pytest.raises(ValueError, match="no spread"):
        ratio(np.array([3.0]), np.array([2]))
