"""What a search for better options found, judged on validation rows alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ..records import Estimate, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Trial(Record):
    """One training with options of its own. The first has the defaults.

    Args:
        options: what the search chose, by the names of the flags.
        loss: of the validation rows with the best weights; None where it did not come to its end.
        curve: validation loss after each pass.
        seconds: what it cost.
        state: `finished`; `pruned` where it lagged behind; `late` where the time of the search was up; `failed`.
    """

    number: int
    options: dict[str, float]
    loss: float | None
    curve: list[float]
    seconds: float
    state: Literal["finished", "pruned", "late", "failed"]
    note: str = ""


class Search(Record):
    """All trials, and what the best of them gained over the first.

    Args:
        best: number of the trial whose weights were kept.
        gain: validation loss of the defaults minus that of the best, on the same rows. The best was chosen on these
            rows, so it flatters; the test split was not looked at.
    """

    trials: list[Trial]
    best: int
    gain: Estimate
    seconds: float
    verdict: str

    @property
    def leaders(self) -> list[Trial]:
        """Those that came to their end, the best first."""
        done = [one for one in self.trials if one.loss is not None]
        return sorted(done, key=lambda one: (one.loss if one.loss is not None else 0.0, one.number))


def search(trials: list[Trial], first: NDArray[np.float64], best: NDArray[np.float64], whole: NDArray[Any]) -> Search:
    """The record of a search.

    Args:
        first, best: [rows] summed loss of each validation row, with the weights of the first and of the best trial.
        whole: [rows] what these sums are divided by, such as tokens.
    """
    from .intervals import ratio

    gain = ratio(first - best, whole)
    found = Search(trials=trials, best=0, gain=gain, seconds=sum(one.seconds for one in trials), verdict="")
    leader = found.leaders[0].number
    return found.model_copy(update={"best": leader, "verdict": _verdict(found, leader)})


def _verdict(found: Search, leader: int) -> str:
    """One sentence: was the search worth it?"""
    cut = sum(one.state in ("pruned", "late") for one in found.trials)
    tried = f"{len(found.trials)} tried, {cut} of them ended early"
    if not leader:
        return f"Nothing was better than the defaults on the validation rows ({tried})."
    gain = found.gain
    by = f"{gain.value:.3f} ({gain.low:.3f} to {gain.high:.3f}, n {gain.n})"
    if gain.low > 0:
        return (f"Trial {leader} beats the defaults on the validation rows by {by} ({tried}). It was chosen on these "
                "rows, so expect less on others.")
    return f"Trial {leader} is better than the defaults by {by}, which could be chance ({tried})."
