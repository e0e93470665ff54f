"""What `seedbed train` does for each kind of task: a course reads the rows, makes a lesson of them and teaches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import DataError, NoResources
from ..machine import memory_to_plan_for
from ..progress import Progress
from ..train.config import TextConfig
from .config import Job, TuneConfig, seconds
from .prepare import TAB

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.read import Reading
    from ..evaluate.figures import Figure, Sample

TuneJob = Job[TuneConfig, TextConfig]
L = TypeVar("L")


@dataclass(frozen=True)
class Learned:
    """What a course found; the fields are those of `evaluate.figures.TuneResult`."""

    figures: list[Figure]
    verdict: str
    note: str
    tokens: dict[str, int]
    judged: int
    parameters: int
    trained_parameters: int
    history: list[dict[str, float]]
    predicted_seconds: float
    training_seconds: float
    samples: list[Sample] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)


class Course(Protocol[L]):
    """One kind of task, from rows to a tuned model.

    Args:
        metric: name of the figure that leads.
    """

    metric: str

    def read(self, source: str, config: TuneConfig, progress: Progress) -> tuple[Dataset, dict[str, Any]]:
        """The rows with their splits; and what was said of them: `form`, `read`, `skipped`."""

    def model(self, job: TuneJob) -> Path:
        """The folder of the base model, fetched if it is not there.

        Raises:
            UserError: the model cannot do the task.
        """

    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> L:
        """The rows as the model reads them.

        Raises:
            DataError: a row cannot be learned from. NoResources: training on them will not fit the memory.
        """

    def memory(self, job: TuneJob, lesson: L) -> int | None:
        """Bytes predicted for the training; None where the card does not state the model's shape."""

    def learn(self, job: TuneJob, dataset: Dataset, lesson: L, model: Path, adapter: Path,
              progress: Progress) -> Learned:
        """Train, judge, and save to these two folders (the second only where there is an adapter).

        Raises:
            Late: the time budget does not allow a training that is worth its name.
        """


def sources(source: str, config: TuneConfig) -> dict[str, Any]:
    """What every reader is told: the file, or one for each split; its columns, groups, encoding."""
    given = {"train": source, "validation": config.validation, "test": config.test}
    named = {name: one for name, one in given.items() if one}
    return {"source": named if len(named) > 1 else source, "group": config.group, "encoding": config.encoding,
            "delimiter": TAB.get(config.delimiter or "", config.delimiter)}


def said_of(reading: Reading, progress: Progress, more: str = "") -> dict[str, Any]:
    """Tell people what was read, and give what a run remembers of it."""
    if "split" in reading.detected:
        more += f"; the column {reading.detected['split']} says the splits"
    progress.note(f"Read as {reading.detected['form']}: {reading.kept:,} of {reading.read:,} rows{more}.")
    for finding in reading.findings:
        progress.note(f"{finding.message} {'; '.join(finding.examples[:2])}")
    return {"form": reading.detected["form"], "skipped": reading.skipped, "read": reading.read}


def session(job: TuneJob, model: Path) -> dict[str, Any]:
    """What every lesson is told: where and how it is trained, and by when."""
    budget = seconds(job.config.budget)
    return {"config": job.training, "seed": job.config.seed, "model": model, "folder": job.folder.path / "training",
            "progress": job.progress, "deadline": None if budget is None else time.monotonic() + budget}


def fit(job: TuneJob, need: int | None, flags: str) -> None:
    """Raises NoResources where training will not fit the memory.

    Args:
        need: bytes; None where they cannot be foretold.
        flags: what to lower.
    """
    free = memory_to_plan_for()
    if need is not None and need > free:
        raise NoResources(
            f"{job.config.model} needs about {need / 1e9:.1f} GB of memory to train, {free / 1e9:.1f} GB are free.",
            f"Lower {flags}, or take a smaller model.")


def enough(learn: int, judge: int) -> None:
    """Raises DataError where there is nothing to learn from, or one row to judge by: of one no interval can be made.
    """
    if not learn or judge < 2:
        raise DataError(f"{learn} rows to learn from and {judge} to judge by are too few.",
                        "Give 20 rows or more, or at least 2 of your own to judge by with --test.")


def _writing(task: str) -> Callable[[], Course[Any]]:
    def make() -> Course[Any]:
        from .writing import WritingCourse
        return WritingCourse(task)
    return make


def _pretraining() -> Course[Any]:
    from .pretraining import PretrainingCourse
    return PretrainingCourse()


def _marking() -> Course[Any]:
    from .marking import MarkingCourse
    return MarkingCourse()


def _embedding() -> Course[Any]:
    from .embedding import EmbeddingCourse
    return EmbeddingCourse()


def _preferring() -> Course[Any]:
    from .preferring import PreferenceCourse
    return PreferenceCourse()


def course_of(config: TuneConfig) -> Course[Any]:
    """The course of a job: that of its task, or of a teacher."""
    if config.teacher:
        from .distilling import course
        return course(config)
    return COURSES[config.task]()


COURSES: dict[str, Callable[[], Course[Any]]] = {
    **{task: _writing(task) for task in ("chat", "summarize", "translate", "extract", "complete")},
    "entities": _marking, "embed": _embedding, "prefer": _preferring, "pretrain": _pretraining}
"""By the task's name."""
