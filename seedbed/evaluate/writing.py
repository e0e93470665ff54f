"""How well a model writes what it should: perplexity before and after training, each with its interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Estimate, Record
from .intervals import LEVEL

Sums = NDArray[np.float64]


class Writing(Record):
    """What a model gives the words that it should write. Less is better in all of them."""

    loss: Estimate
    """Nats a token."""
    bits_per_byte: Estimate
    """Of UTF-8: comparable between models with different tokenizers."""
    perplexity: Estimate
    """e to the loss: among how many tokens it is as good as undecided."""


class WritingResult(Record):
    """What fine-tuning on texts found."""

    format: int = 1
    run: str
    created: str
    """UTC, ISO 8601."""
    command: str
    config: dict[str, Any]
    model: str
    """Card id of the base model."""
    form: str
    """How the rows were read."""
    data_hash: str
    rows: dict[str, int]
    """Rows by split."""
    skipped: dict[str, int]
    """Rows left out when they were read, by reason."""
    judged: int
    """Rows of the test split that the figures are of."""
    tokens: dict[str, int]
    """Of the training rows: `all`, `learned`, and `cut` because their row was too long."""
    before: Writing
    after: Writing
    gain: Estimate
    """Loss before minus loss after, on the same rows."""
    verdict: str
    note: str
    """Why training ended, and which weights were kept."""
    parameters: int
    trained_parameters: int
    history: list[dict[str, float]]
    seconds: float
    predicted_seconds: float
    peak_memory: int
    predicted_memory: int | None
    environment: dict[str, Any]
    licences: dict[str, str]


def writing(nats: Sums, tokens: NDArray[np.int64], size: NDArray[np.int64]) -> Writing:
    """The figures of one model.

    Args:
        nats: [rows] cross-entropy summed over the learned tokens of each row.
        tokens: [rows] learned tokens.
        size: [rows] bytes of the text that these tokens are.
    """
    loss = ratio(nats, tokens)
    return Writing(loss=loss, bits_per_byte=ratio(nats / math.log(2), size), perplexity=Estimate(
        value=math.exp(loss.value), low=math.exp(loss.low), high=math.exp(loss.high), n=loss.n))


def ratio(part: Sums, whole: NDArray[Any]) -> Estimate:
    """Sum over sum, with its interval over rows.

    Rows are what was drawn, not tokens: those of one row are alike. The spread is the jackknife's (Tukey 1958; for
    ratios Cochran 1977, "Sampling Techniques", section 6.17), which is not too small for few rows as the linearized
    one is, with Student's t.

    Args:
        part, whole: [rows], two at the least.

    Raises:
        ValueError: fewer rows.
    """
    from scipy.stats import t

    rows = len(part)
    value = float(part.sum() / whole.sum())
    if rows < 2:
        raise ValueError("one row has no spread")
    without = (part.sum() - part) / np.maximum(whole.sum() - whole, 1)
    error = math.sqrt((rows - 1) / rows * float(((without - without.mean()) ** 2).sum()))
    reach = error * float(t.ppf(0.5 + LEVEL / 2, rows - 1))
    return Estimate(value=value, low=value - reach, high=value + reach, n=rows)


def verdict(gain: Estimate) -> str:
    """One sentence for people: did it learn?"""
    factor = math.exp(gain.value)
    if gain.low > 0:
        return (f"It has learned: a token that it should write is {factor:.2f} times as likely as before "
                f"({math.exp(gain.low):.2f} to {math.exp(gain.high):.2f}, n {gain.n}).")
    if gain.high < 0:
        return "It has become worse on rows that it has not seen: lower the learning rate or give it more rows."
    return "Nothing is proven: on rows that it has not seen the difference could be chance."
