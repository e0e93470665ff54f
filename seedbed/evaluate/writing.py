"""How well a model writes what it should: loss and perplexity before and after training, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import TENTATIVE_BELOW, Estimate
from .cases import by_unit
from .figures import Figure
from .intervals import ratio

Sums = NDArray[np.float64]
Unit = Sequence[int] | NDArray[Any] | None


def writing(before: Sums, after: Sums, tokens: NDArray[np.int64], size: NDArray[np.int64],
            words: NDArray[np.int64], unit: Unit = None) -> list[Figure]:
    """Figures of a model before and after training. Less is better in all of them; the loss leads.

    Args:
        before, after: [rows] cross-entropy in nats, summed over the learned tokens of each row.
        tokens: [rows] learned tokens.
        size: [rows] bytes of the text that these tokens are. Bits a byte compare models with different tokenizers.
        words: [rows] words of that text, for the perplexity a word that papers on language models give.
        unit: [rows] number of the row's unit: rows of one document are alike, so intervals are over units.
    """
    before, after, tokens, size, words = (by_unit(one, unit) for one in (before, after, tokens, size, words))
    return [fallen("loss", "loss, nats a token", before, after, tokens),
            fallen("bits_per_byte", "bits a byte", before / math.log(2), after / math.log(2), size), *(
        Figure(name=name, title=title, more=False, before=_exp(_positive(ratio(before, of), before)),
               after=_exp(_positive(ratio(after, of), after)))
        for name, title, of in (("perplexity", "perplexity, a token", tokens),
                                ("word_perplexity", "perplexity, a word", np.maximum(words, 1))))]


def fallen(name: str, title: str, before: Sums, after: Sums, whole: NDArray[Any], *, more: bool = False) -> Figure:
    """A figure that shall fall, or rise where more of it is better: sums of cases over what they are of.

    What is never below 0 has no interval that is; its gain may have one.
    """
    return Figure(name=name, title=title, more=more, before=_positive(ratio(before, whole), before),
                  after=_positive(ratio(after, whole), after),
                  gain=ratio(after - before if more else before - after, whole))


def _positive(one: Estimate, parts: Sums) -> Estimate:
    return one.model_copy(update={"low": max(0.0, one.low)}) if parts.min() >= 0 else one


def divergence(before: Sums, after: Sums, tokens: NDArray[np.int64], unit: Unit = None) -> Figure:
    """How far a student is from its teacher: KL(teacher || student).

    Args:
        before, after: [rows] in nats, summed over the learned tokens of each row.
        tokens: [rows] learned tokens.
    """
    return fallen("divergence", "KL from the teacher, nats a token", by_unit(before, unit), by_unit(after, unit),
                  by_unit(tokens, unit))


def with_teacher(figures: list[Figure], nats: Sums, tokens: NDArray[np.int64], unit: Unit = None) -> list[Figure]:
    """The figures with the teacher's own loss on the same rows as the baseline of the student's.

    Args:
        nats: [rows] the teacher's cross-entropy, summed over the learned tokens of each row.
    """
    own = ratio(by_unit(nats, unit), by_unit(tokens, unit))
    return [one.model_copy(update={"baseline": own}) if one.name == "loss" else one for one in figures]


def _exp(loss: Estimate) -> Estimate:
    """e to a loss: among how many words it is as good as undecided. Infinite where a float ends."""
    value, low, high = (math.exp(min(700.0, one)) for one in (loss.value, loss.low, loss.high))
    return Estimate(value=value, low=low, high=high, n=loss.n)


def verdict(gain: Estimate) -> str:
    """One sentence for people: did it learn?

    Args:
        gain: of the loss.
    """
    if gain.low > 0:
        factor, low, high = (math.exp(one) for one in (gain.value, gain.low, gain.high))
        return (f"It has learned: a token that it should write is {factor:.2f} times as likely as before "
                f"({low:.2f} to {high:.2f}, n {gain.n})." + (
                    f" Tentative: under {TENTATIVE_BELOW} rows judge it." if gain.tentative else ""))
    if gain.high < 0:
        return "It has become worse on rows that it has not seen: lower the learning rate or give it more rows."
    return "Nothing is proven: on rows that it has not seen the difference could be chance."
