"""What named queries return. Times are UTC and know it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ..records import Estimate, Record

RunState = Literal["running", "finished", "failed", "interrupted"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class Score(Record):
    """What a candidate scored on a split, in one metric."""

    candidate: str
    split: str
    metric: str
    score: Estimate


class StoredDataset(Record):
    hash: str
    source: str
    rows: dict[str, int]
    """Rows per split."""
    recorded: datetime


class StoredBundle(Record):
    path: str
    format: int
    hash: str
    recorded: datetime


class Run(Record):
    """One line of the list of runs."""

    id: int
    name: str
    folder: str
    task: str
    metric: str
    """The metric that chooses."""
    state: RunState
    """`interrupted` too when the process that ran it is gone."""
    pid: int
    started: datetime
    finished: datetime | None
    winner: str | None
    score: Score | None
    """The winner's, in `metric`: on test, else in cross-validation, else on validation."""
    seconds: float | None


class RunDetail(Run):
    """All that is known about a run."""

    config: dict[str, Any]
    result: dict[str, Any] | None
    dataset: StoredDataset | None
    scores: list[Score]
    bundles: list[StoredBundle]


class Job(Record):
    """Work for a worker process. `worker` and `attempts` are the claim: who lost it can change nothing."""

    id: int
    kind: str
    payload: dict[str, Any]
    state: JobState
    attempts: int
    max_attempts: int
    cancel_asked: bool
    worker: str | None
    heartbeat: datetime | None
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    queued: datetime
    ended: datetime | None


class StoredExample(Record):
    id: str
    inputs: dict[str, str]
    source: str


class Suggestion(Record):
    """What a machine proposed."""

    example_id: str
    agent: str
    value: Any
    score: float
    time: datetime


class Answer(Record):
    """What a person said."""

    example_id: str
    person: str
    value: Any
    time: datetime
