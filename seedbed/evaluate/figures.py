"""What a training changed: each figure before and after, with its interval and its gain on the same rows."""

from __future__ import annotations

from typing import Literal

from ..records import Estimate, Record
from .frontier import Frontier
from .judge import Judging
from .result import Run
from .search import Search


class Figure(Record):
    """One figure of a model before and after training, on the same rows of the test split."""

    name: str
    """A word for programs: `loss`, `rouge_l`, `recall_at_1`."""
    title: str
    """For people, with its unit: `loss, nats a token`."""
    more: bool
    """More is better."""
    before: Estimate
    after: Estimate
    gain: Estimate | None = None
    """After minus before, or before minus after where less is better: above 0 it became better. Of the same rows, so
    surer than either figure. None where a difference says nothing (perplexity)."""
    p_value: float | None = None
    """Of "before and after are equally good", two-sided, where it was tested."""
    baseline: Estimate | None = None
    """What is reached on these rows without this training: by a rule that needs no model, or by the teacher."""

    @property
    def change(self) -> Literal["better", "worse", "open"]:
        """What the gain's interval proves; `open` where both could be."""
        gain = self.gain
        return "open" if gain is None or gain.low <= 0 <= gain.high else "better" if gain.value > 0 else "worse"

    @property
    def needless(self) -> bool:
        """The baseline is as good as what was trained."""
        least, value = self.baseline, self.after.value
        return least is not None and (value <= least.value if self.more else value >= least.value)


class Sample(Record):
    """One row of the test split, as it was answered."""

    asked: str
    reference: str
    before: str
    after: str


class TuneResult(Run):
    """What `seedbed train` found."""

    format: int = 2
    task: str
    model: str
    """Card id of the base model."""
    form: str
    """How the rows were read."""
    skipped: dict[str, int]
    """Rows left out when they were read, by reason."""
    judged: int
    """Rows of the test split that the figures are of."""
    tokens: dict[str, int]
    """Of the training rows: `all`, `learned`, and `cut` because their row was too long."""
    figures: list[Figure]
    """The first one leads: the verdict is about it."""
    samples: list[Sample] = []
    answers: dict[str, int] = {}
    """A teacher's answers: `asked`, `learned`, and those left out, by reason."""
    verdict: str
    note: str
    """Why training ended, and which weights were kept."""
    parameters: int
    trained_parameters: int
    history: list[dict[str, float]]
    judging: Judging | None = None
    """What a judge model was asked and how far people agree with it; its figure is `judge_wins`."""
    search: Search | None = None
    """What `--search` tried; the figures are then of its best trial."""
    frontier: Frontier | None = None
    """What `seedbed compress RUN` found, where it was asked."""
    training_seconds: float
    """Opening the model, judging it as it is, and training, which `predicted_seconds` foretold."""
    predicted_seconds: float
    peak_memory: int
    predicted_memory: int | None

    def figure(self, name: str) -> Figure:
        """The figure of that name.

        Raises:
            KeyError: there is none.
        """
        return {one.name: one for one in self.figures}[name]
