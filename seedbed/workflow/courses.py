"""What `seedbed train` does for each kind of task: a course reads the rows, makes a lesson of them and teaches it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..errors import DataError, UserError
from ..progress import Progress
from ..train.config import TextConfig
from ..train.lesson import Shown
from .config import Job, TuneConfig, seconds, typed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data.dataset import Dataset
    from ..data.read import Reading
    from ..evaluate.figures import Figure, Sample
    from ..tasks.classify import Floats
    from ..train.embed import Embedder
    from ..train.entities import Marker
    from ..train.student import Tuned

TuneJob = Job[TuneConfig, TextConfig]
L = TypeVar("L")
Losses = tuple["NDArray[np.float64]", "NDArray[Any]"]
"""Of each independent unit of the validation rows the summed loss, and what the sum is divided by. [units] each"""


@dataclass(frozen=True)
class Learned:
    """What a course found; the fields but `shown` are those of `evaluate.figures.TuneResult`.

    Args:
        shown: what the trained model says of a few rows.
    """

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
    shown: Shown
    samples: list[Sample] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, done: Tuned | Marker | Embedder, figures: list[Figure], verdict: str, tokens: dict[str, int],
           judged: int, shown: Shown, samples: Sequence[Sample] = ()) -> Learned:
        """The same from what a training gave back, which holds the model and may be forgotten then."""
        return cls(figures, verdict, done.trained.note, tokens, judged, done.parameters, done.trained_parameters,
                   done.trained.history, done.predicted_seconds, done.training_seconds, shown, list(samples))


class Course(ABC, Generic[L]):
    """One kind of task, from rows to a tuned model.

    Args:
        metric: name of the figure that leads.
        engine: kind of the reference engine that runs what it makes.
        tried: values of options that `--search` tries beside learning rate, rank and layers. The validation loss
            must mean the same whatever they are.
    """

    metric: str
    engine: str
    tried: Mapping[str, Sequence[int]] = {}

    def __init__(self, task: str) -> None:
        self.task = task

    @abstractmethod
    def read(self, source: str, config: TuneConfig, progress: Progress) -> tuple[Dataset, dict[str, Any]]:
        """The rows with their splits; and what was said of them: `form`, `read`, `skipped`."""

    def model(self, job: TuneJob) -> Path:
        """The folder of the base model, fetched if it is not there.

        Raises:
            UserError: the model cannot do the task.
        """
        from ..catalog.cards import card
        from ..catalog.fetch import pull

        base = card(job.config.model)
        if base.architecture is not None and base.architecture.family == "t5":
            raise UserError(f"{base.id} is an encoder-decoder, which --task {self.task} does not take.",
                            "Take an encoder, such as all-minilm-l6-v2.")
        return pull(base, job.progress)

    @abstractmethod
    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> L:
        """The rows as the model reads them.

        Raises:
            DataError: a row cannot be learned from.
        """

    @abstractmethod
    def memory(self, job: TuneJob, lesson: L) -> int | None:
        """Bytes predicted for the training; None where the card does not state the model's shape."""

    @abstractmethod
    def learn(self, job: TuneJob, dataset: Dataset, lesson: L, model: Path, adapter: Path,
              progress: Progress) -> Learned:
        """Train, judge, and save to these two folders (the second only where there is an adapter).

        Raises:
            Late: the time budget does not allow a training that is worth its name.
        """

    @abstractmethod
    def again(self, model: Path, given: Any) -> Floats:
        """What the saved model says of the rows of `Learned.shown`, in the same form."""

    @abstractmethod
    def trial(self, job: TuneJob, dataset: Dataset, lesson: L) -> Losses:
        """Train, and judge by the validation rows alone: the loss that training is stopped by."""

    @abstractmethod
    def rate(self, job: TuneJob, lesson: L) -> float:
        """Peak learning rate when none is given."""


def sources(source: str, config: TuneConfig) -> dict[str, Any]:
    """What every reader is told: the file, or one for each split; its columns, groups, encoding."""
    given = {"train": source, "validation": config.validation, "test": config.test}
    named = {name: one for name, one in given.items() if one}
    return {"source": named if len(named) > 1 else source, "group": config.group, "encoding": config.encoding,
            "delimiter": typed(config.delimiter)}


def said_of(reading: Reading, progress: Progress, more: str = "") -> dict[str, Any]:
    """Tell people what was read, and give what a run remembers of it."""
    if "split" in reading.detected:
        more += f"; the column {reading.detected['split']} says the splits"
    progress.note(f"Read as {reading.detected['form']}: {reading.kept:,} of {reading.read:,} rows{more}.")
    for finding in reading.findings:
        progress.note(f"{finding.message} {'; '.join(finding.examples[:2])}")
    return {"form": reading.detected["form"], "skipped": reading.skipped, "read": reading.read}


def divided(dataset: Dataset, config: TuneConfig, shares: tuple[float, float, float], progress: Progress,
            kin: Sequence[int] | None = None) -> Dataset:
    """The rows with their splits.

    Args:
        shares: of training, validation and test rows, where no test file is given.
        kin: rows of one number stay together; near duplicates, when not told.
    """
    from ..data import duplicates
    from ..data.split import split

    if kin is None:
        kin = duplicates.find(dataset.texts, seed=config.seed, progress=progress).near.tolist()
    return split(dataset, fractions=(0.9, 0.1, 0.0) if config.test else shares, seed=config.seed, clusters=kin)


def session(job: TuneJob, model: Path) -> dict[str, Any]:
    """What every lesson is told: where and how it is trained, and by when."""
    budget = seconds(job.config.budget)
    return {"config": job.training, "seed": job.config.seed, "model": model, "folder": job.folder.path / "training",
            "progress": job.progress, "deadline": None if budget is None else time.monotonic() + budget}


def foretold(job: TuneJob, tokens: int, longest: int, *, labels: int | None = None,
             logit_tokens: int | None = None) -> int | None:
    """Bytes to train the job's model; None where its card does not state the shape.

    Args:
        tokens, longest: of one step, and of one text in it.
        labels, logit_tokens: as `catalog.memory.to_train` takes them.
    """
    from ..catalog import memory
    from ..catalog.cards import card
    from ..models.runtime import runtime

    base, config = card(job.config.model), job.training
    if base.architecture is None:
        return None
    step = memory.Step(tokens, longest, config.train_layers, config.rank, config.checkpointing)
    method = "full" if job.config.method == "qat" else job.config.method  # its weights are rounded in passing
    return memory.to_train(base, cast(memory.Method, method),
                           "fp32" if str(runtime().dtype) == "torch.float32" else "bf16", step, labels=labels,
                           logit_tokens=logit_tokens)


def enough(learn: int, judge: int) -> None:
    """Raises DataError where there is nothing to learn from, or one row to judge by: of one no interval can be made.
    """
    if not learn or judge < 2:
        raise DataError(f"{learn} rows to learn from and {judge} to judge by are too few.",
                        "Give 20 rows or more, or at least 2 of your own to judge by with --test.")


def by_unit(units: Sequence[int] | NDArray[np.int64], part: NDArray[Any], whole: NDArray[Any]) -> Losses:
    """Losses of rows that stand or fall together as one."""
    import numpy as np

    place = np.unique(units, return_inverse=True)[1]
    return np.bincount(place, part).astype(np.float64), np.bincount(place, whole)
