"""Does a model find the better answers likelier than the worse ones, before and after training?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Estimate
from .figures import Figure
from .intervals import Array, bounded, correlation, difference, ratio
from .writing import fallen

Ints = NDArray[np.int64]
EVEN = Estimate(value=0.5, low=0.5, high=0.5, n=0)
NOTHING = Estimate(value=0.0, low=0.0, high=0.0, n=0)
"""Before training no answer has gained anything on another: this is no estimate."""


def preference(before: Array, after: Array, tokens: Ints, good: NDArray[np.bool_], prompt: Ints,
               paired: bool) -> list[Figure]:
    """Figures of answers before and after training, the leading one first.

    Answers to one prompt are alike, so intervals are over prompts: the jackknife's spread, for shares with Wilson's
    bounds of as many cases as that spread speaks for (Korn and Graubard 1998).

    Args:
        before, after: [answers] cross-entropy in nats, summed over the tokens of each answer.
        tokens: [answers]
        good: [answers] whether it is the better one.
        prompt: [answers] number of its prompt. Two prompts at the least.
        paired: answers stand in pairs, and each is held against its own; else every good one against every bad one.
    """
    prompt = np.unique(prompt, return_inverse=True)[1]
    pairs = (np.flatnonzero(good), np.flatnonzero(~good)) if paired else np.nonzero(good[:, None] & ~good[None])
    of = "pairs" if paired else "comparisons of a good answer with a bad one"
    likely, whole = ([_won(-nats / size, pairs, prompt) for nats in (before, after)] for size in (tokens, 1))
    gained = before - after
    ahead = bounded(*_won(gained, pairs, prompt))
    sides: dict[str, NDArray[np.bool_]] = {"good": good, "bad": ~good}

    def summed(of: NDArray[Any], which: NDArray[np.bool_] | None = None) -> Array:
        return np.bincount(prompt, of if which is None else np.where(which, of, 0)).astype(float)

    rewards = {"margin": ratio(summed(np.where(good, gained, -gained)), summed(good))} if paired else {
        f"{name} reward": ratio(summed(gained, which), summed(which)) for name, which in sides.items()}
    return [
        _shares("preferred", f"share of {of} where the better is likelier, a token", *likely),
        Figure(name="gained", title=f"share of {of} where the better gained more", more=True, before=EVEN,
               after=ahead, gain=less(ahead, 0.5)),
        _shares("preferred_whole", f"share of {of} where the better is likelier as a whole", *whole),
        *(Figure(name=name.replace(" ", "_"), title=f"{name}, nats", more=name != "bad reward", before=NOTHING,
                 after=e, gain=less(e, 0, -1 if name == "bad reward" else 1)) for name, e in rewards.items()),
        *(fallen(f"{name}_loss", f"loss of {name} answers, nats a token", summed(before, which), summed(after, which),
                 summed(tokens, which), more=name == "bad") for name, which in sides.items())]


def _won(scores: Array, pairs: tuple[Any, ...], prompt: Ints) -> tuple[float, Array]:
    """The share of pairs (positions of good, of bad) that the good one wins, a tie counting half; and the same
    without each prompt. -> share, [prompts]"""
    good, bad = (prompt[side] for side in pairs)
    won = np.sign(scores[pairs[0]] - scores[pairs[1]]) / 2 + 0.5
    same, prompts = good == bad, int(prompt.max()) + 1
    lost, gone = (np.bincount(good, w, prompts) + np.bincount(bad, w, prompts)
                  - np.bincount(good[same], w[same], prompts) for w in (won, np.ones(len(won))))
    return float(won.mean()), (won.sum() - lost) / np.maximum(1, len(won) - gone)


def _shares(name: str, title: str, before: tuple[float, Array], after: tuple[float, Array]) -> Figure:
    old, new = bounded(*before), bounded(*after)
    return Figure(name=name, title=title, more=True, before=old, after=new,
                  gain=difference(new, old, correlation(after[1], before[1])))


def less(e: Estimate, by: float, sign: int = 1) -> Estimate:
    """An estimate less a number that is known; its negative with the sign -1."""
    low, high = sorted((sign * (e.low - by), sign * (e.high - by)))
    return Estimate(value=sign * (e.value - by), low=low, high=high, n=e.n)


def verdict(figures: list[Figure]) -> str:
    """One or two sentences for people: is the better answer preferred, and did the good answers suffer?"""
    known = {one.name: one for one in figures}
    lead, gained, loss = known["preferred"], known["gained"].after, known["good_loss"].gain
    assert lead.gain is not None and loss is not None
    more = f"{lead.gain.value:+.0%}, from {lead.gain.low:+.0%} to {lead.gain.high:+.0%}, n {lead.gain.n}"
    shares = f"in {lead.after.value:.0%} of cases, before in {lead.before.value:.0%} ({more})"
    if lead.gain.low > 0:
        said = f"It has learned to prefer: the better answer is the likelier one {shares}."
    elif lead.gain.high < 0 or gained.high < 0.5:
        said = (f"It has become worse on rows that it has not seen: the better answer is the likelier one {shares}; "
                "lower the learning rate or give it more rows.")
    elif gained.low > 0.5:
        said = (f"It leans the right way: in {gained.value:.0%} of cases ({gained.low:.0%} to {gained.high:.0%}) the "
                f"better answer gained on the other. That it is the likelier one more often is not proven: {shares}.")
    else:
        said = f"Nothing is proven: the better answer is the likelier one {shares}, which could be chance."
    return said + (" The good answers themselves became less likely: lower --learning-rate or raise --chosen-weight."
                   if loss.high < 0 else "")
