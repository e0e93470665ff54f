from __future__ import annotations

import math

import numpy as np
import pytest

from seedbed.evaluate.writing import ratio, verdict, writing
from seedbed.records import Estimate


def test_figures_follow_from_the_sums() -> None:
    nats, tokens, size = np.array([2.0, 6.0, 4.0]), np.array([2, 4, 2]), np.array([8, 16, 8])
    made = writing(nats, tokens, size)
    assert made.loss.value == 12 / 8 and made.loss.n == 3
    assert made.perplexity.value == pytest.approx(math.exp(1.5))
    assert made.bits_per_byte.value == pytest.approx(12 / math.log(2) / 32)
    assert made.perplexity.low == pytest.approx(math.exp(made.loss.low))
    assert made.loss.low < 1.5 < made.loss.high


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


@pytest.mark.parametrize(("low", "high", "words"), [
    (0.2, 0.6, "It has learned: a token that it should write is 1.49 times as likely as before (1.22 to 1.82, n 40"),
    (-0.1, 0.9, "Nothing is proven"), (-0.9, -0.1, "It has become worse")])
def test_the_verdict_follows_the_interval(low: float, high: float, words: str) -> None:
    assert verdict(Estimate(value=(low + high) / 2, low=low, high=high, n=40)).startswith(words)
