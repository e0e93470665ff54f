"""What a training method is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.base import Classifier
from ..progress import SILENT, Progress
from ..tasks.classify import Classify, Floats
from .config import LoopConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Session:
    """Where and how something is trained.

    Args:
        config: parameters of training.
        seed: fixes everything random.
        model: folder of the base model, for methods that need one.
        folder: where checkpoints and stored activations may go; None keeps nothing on disk.
        deadline: `time.monotonic()` by which training should end.
        progress: listener.
    """

    config: LoopConfig = field(default_factory=LoopConfig)
    seed: int = 0
    model: Path | None = None
    folder: Path | None = None
    deadline: float | None = None
    progress: Progress = SILENT

    @property
    def base(self) -> Path:
        """The base model's folder; only methods that are given one ask for it."""
        assert self.model is not None
        return self.model

    @property
    def checkpoint(self) -> Path | None:
        """Where checkpoints go."""
        return self.folder / "checkpoint" if self.folder else None


@dataclass(frozen=True)
class Lesson(Session):
    """One candidate's training.

    Args:
        task: labels and metric.
        texts, targets: the training split.
        held_texts, held_targets: the validation split, for early stopping; empty in cross-validation.
        unlabelled: further texts, of which a teacher alone says what they are.
        soft: the teacher's scores before softmax (or sigmoid) of `texts` and then of `unlabelled`. [rows, labels]
            `classify.whole` and `classify.lora` learn from them; other methods do not.
    """

    task: Classify
    texts: list[str]
    targets: list[Any]
    held_texts: list[str] = field(default_factory=list)
    held_targets: list[Any] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list, kw_only=True)
    soft: Floats | None = field(default=None, kw_only=True)
    config: TrainConfig = field(default_factory=TrainConfig, kw_only=True)

    @property
    def y(self) -> NDArray[np.int64]:
        """Encoded training targets: [rows], or [rows, labels] for multi-label."""
        return self.task.encode(self.targets)


@dataclass(frozen=True)
class Shown:
    """What a trained model says of a few rows that it was not taught, so that its saved form can be held against it.

    Args:
        given: what it was asked.
        scores: what it answered; [rows, choices].
    """

    given: Any
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Fitted:
    """A trained candidate.

    Args:
        classifier: the model.
        parameters, trained_parameters: how many it has, and how many were trained.
        history: one entry an evaluation in training.
        note: one clause on what was chosen on the way.
        predicted_seconds: what its first seconds said that the training would take, for as many epochs as it had.
    """

    classifier: Classifier
    parameters: int
    trained_parameters: int
    history: list[dict[str, float]] = field(default_factory=list)
    note: str = ""
    predicted_seconds: float | None = None


class Late(Exception):
    """The time budget does not allow a training that is worth its name; the text says why, as a clause."""
