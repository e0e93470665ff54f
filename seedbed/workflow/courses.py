"""What `seedbed train` does for each kind of task: a course reads the rows, makes a lesson of them and teaches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..progress import Progress
from ..train.config import TextConfig
from .config import Job, TuneConfig

if TYPE_CHECKING:
    from ..data.dataset import Dataset
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
