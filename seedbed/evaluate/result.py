"""The record of a run, as `result.json`, the report, the store and the bundle all show it.

Every figure shown to a person carries its interval and the count behind it (`Estimate`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from ..data.health import Health
from ..records import Estimate, Record
from .costs import Energy as Energy
from .costs import Speed as Speed
from .frontier import Frontier


class ClassScore(Record):
    label: str
    precision: Estimate
    recall: Estimate
    f1: Estimate
    support: int


class Reliability(Record):
    """One bin of the reliability diagram: mean confidence, share correct, cases."""

    confidence: float
    accuracy: Estimate | None
    n: int


class Calibration(Record):
    """Temperature fitted on validation; expected calibration error before and after, on test."""

    temperature: float
    ece_before: Estimate
    ece_after: Estimate
    bins: list[Reliability]


class Coverage(Record):
    """One point of risk against coverage: answer only when confidence is at least `threshold`."""

    threshold: float
    coverage: float
    risk: Estimate | None


class Abstention(Record):
    """The threshold chosen on validation for a target error, and what it gives on test."""

    target_error: float
    threshold: float | None
    """None: no threshold reaches the target."""
    coverage: Estimate | None
    error: Estimate | None
    reason: str = ""
    """What the validation rows showed, or why nothing can be promised."""


class SliceScore(Record):
    """The chosen metric on one part of the test split, for instance length `long`."""

    dimension: str
    value: str
    score: Estimate
    worse: bool
    """Below the rest by a permutation test, corrected for the number of slices (Benjamini and Hochberg, 5 %)."""


class Mistake(Record):
    """A wrong decision, the surest first."""

    id: str
    line: int
    text: str
    target: Any
    predicted: Any
    confidence: float


class Scores(Record):
    """What one candidate scores on one split."""

    split: Literal["validation", "test", "cross-validation"]
    n: int
    metric: str
    score: Estimate
    """The chosen metric."""
    accuracy: Estimate
    macro_f1: Estimate
    micro_f1: Estimate
    log_loss: Estimate
    per_class: list[ClassScore]
    confusion: list[list[int]]
    """[target][predicted] counts; for multi-label empty."""


class Comparison(Record):
    """A candidate against the best one, on the same rows, paired."""

    best: str
    difference: Estimate
    """best minus this candidate, in the chosen metric."""
    p_value: float
    worse: bool
    test: str
    """Name of the test and its settings, for the reader."""


class Candidate(Record):
    """One rung of the ladder."""

    name: str
    title: str
    """For people: `TF-IDF with a linear model`."""
    cost_rank: int
    """0 is the cheapest."""
    status: Literal["trained", "skipped", "failed"]
    reason: str = ""
    """Why it was skipped or failed; or what was chosen and why."""
    model: str | None = None
    """Card id of the base model."""
    selection: Scores | None = None
    """The scores that the choice was made on: validation or cross-validation."""
    test: Scores | None = None
    comparison: Comparison | None = None
    calibration: Calibration | None = None
    speed: Speed | None = None
    seconds: float = 0.0
    energy: Energy | None = None
    peak_memory: int = 0
    predicted_memory: int | None = None
    predicted_seconds: float | None = None
    size: int = 0
    """Bytes of the saved model."""
    parameters: int = 0
    trained_parameters: int = 0
    history: list[dict[str, float]] = []
    """One entry an evaluation in training: step, epoch, train_loss, validation_loss, score, seconds."""


class CurvePoint(Record):
    """The learning curve: the chosen candidate trained on a part of the training split."""

    rows: int
    score: Estimate


class LearningCurve(Record):
    candidate: str
    points: list[CurvePoint]
    verdict: str
    """One sentence: would more data help, by how much, how sure."""


class Verdict(Record):
    """The first thing in the report."""

    candidate: str
    rule: str
    """The rule that chose, in words, with the figures put in."""
    headline: str
    """One sentence a manager can act on."""
    cautions: list[str] = []
    """What to know before relying on it: tentative figures, slices that are worse, drift of classes."""


class Run(Record):
    """What every run writes down, so that it can be told from others and made again."""

    run: str
    """Name of the run folder."""
    created: str
    """UTC, ISO 8601."""
    command: str
    """The line that repeats the run."""
    config: dict[str, Any]
    data_hash: str
    rows: dict[str, int]
    """Rows by split."""
    environment: dict[str, Any]
    """Versions, processor, features, threads, seed, precision, self-test."""
    licences: dict[str, str] = {}
    """Of the base model and the data, as far as known."""
    seconds: float = 0.0
    """All of it, answering included."""


class Result(Run):
    """All that a run of `seedbed run` found."""

    format: int = 1
    task: dict[str, Any]
    protocol: Literal["holdout", "cross-validation"]
    health: Health
    candidates: list[Candidate]
    verdict: Verdict
    curve: LearningCurve | None = None
    coverage: list[Coverage] = []
    abstention: Abstention | None = None
    slices: list[SliceScore] = []
    mistakes: list[Mistake] = []
    baseline_note: str = ""
    frontier: Frontier | None = None
    """What `seedbed compress RUN` found, where it was asked."""

    @model_validator(mode="after")
    def _names_a_candidate(self) -> Result:
        if not any(c.name == self.verdict.candidate for c in self.candidates):
            raise ValueError(f"the verdict names {self.verdict.candidate!r}, which is no candidate of this run")
        return self

    @property
    def winner(self) -> Candidate:
        return next(c for c in self.candidates if c.name == self.verdict.candidate)
