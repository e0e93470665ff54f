from __future__ import annotations

import math

import numpy as np
import pytest

from seedbed.evaluate.writing import verdict, writing
from seedbed.records import Estimate


def test_figures_follow_from_the_sums() -> None:
    nats, tokens, size = np.array([2.0, 6.0, 4.0]), np.array([2, 4, 2]), np.array([8, 16, 8])
    loss, bits, perplexity, of_words = writing(nats, nats / 2, tokens, size, np.array([1, 2, 1]))
    assert loss.before.value == 12 / 8 and loss.before.n == 3 and loss.after.value == 6 / 8
    assert loss.gain and loss.gain.value == 6 / 8
    assert perplexity.before.value == pytest.approx(math.exp(1.5)) and perplexity.gain is None
    assert bits.before.value == pytest.approx(12 / math.log(2) / 32)
    assert perplexity.before.low == pytest.approx(math.exp(loss.before.low))
    assert of_words.after.value == pytest.approx(math.exp(6 / 4))
    assert loss.before.low < 1.5 < loss.before.high


@pytest.mark.parametrize(("low", "high", "words"), [
    (0.2, 0.6, "It has learned: a token that it should write is 1.49 times as likely as before (1.22 to 1.82, n 40"),
    (-0.1, 0.9, "Nothing is proven"), (-0.9, -0.1, "It has become worse")])
def test_the_verdict_follows_the_interval(low: float, high: float, words: str) -> None:
    assert verdict(Estimate(value=(low + high) / 2, low=low, high=high, n=40)).startswith(words)


def test_few_rows_are_called_tentative_and_a_loss_is_never_below_nothing() -> None:
    assert "Tentative: under 30 rows" in verdict(Estimate(value=0.4, low=0.2, high=0.6, n=2))
    nats, tokens = np.array([0.0, 0.4]), np.array([2, 2])
    loss, *_ = writing(nats + np.array([1, 1.5]), nats, tokens, tokens, tokens)
    assert loss.after.low == 0 and loss.gain is not None and loss.gain.low < loss.gain.value
