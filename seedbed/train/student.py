"""A language model that is taught to write, and the way of teaching that all methods share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UserError
from ..models.adapters import save_adapter
from ..models.backbone import Backbone
from ..models.batch import TOKENS_PER_BATCH, by_length
from ..models.teacher import Soft
from ..models.template import Row
from ..models.vocabulary import Vocabulary
from ..progress import SILENT, Progress
from ..settings import settings
from . import team
from .average import copy
from .config import TextConfig
from .forecast import Forecast, forecast
from .lesson import Session, Shown
from .loop import Batches, Trained, train
from .trainable import Adapted, Rounded, Trainable, Whole, rate

SHOWN_ROWS, SHOWN_TOKENS = 16, 128
"""Of the judged rows, how many are kept with what the model thinks, and of how many of their tokens."""


@dataclass(frozen=True)
class Losses:
    """Cross-entropy of each row, in nats summed over its learned tokens, and how many those are. [rows] each"""

    nats: NDArray[np.float64]
    tokens: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """Nats a learned token."""
        return float(self.nats.sum() / max(1, self.tokens.sum()))


@dataclass(frozen=True)
class Words:
    """What a model thinks before each learned token of some rows.

    Args:
        vectors: [tokens, width] activations after the last layer, of the token before.
        targets: [tokens] the learned tokens.
        owners: [tokens] the position of each token's row among those asked for.
        places: [tokens] which learned token of its row each is.
    """

    vectors: Tensor
    targets: Tensor
    owners: Tensor
    places: Tensor


@dataclass(frozen=True)
class Student:
    """A model with what is trained of it, and all rows that it reads while it is taught.

    Args:
        body: the trained parameters, and activations of rows by their position.
        rows: tokens of every row.
    """

    backbone: Backbone
    body: Trainable
    vocabulary: Vocabulary
    rows: Sequence[Row]

    def words(self, places: Sequence[int]) -> Words:
        """The learned tokens of the rows at these positions."""
        hidden = self.body.vectors(places, pool=False)                        # [rows, tokens, width]
        found = [[i for i, learned in enumerate(self.rows[place].learned) if learned and i] for place in places]
        owners, at, targets, order = (torch.tensor(one, dtype=torch.long, device=hidden.device) for one in (
            [number for number, mine in enumerate(found) for _ in mine], [i for mine in found for i in mine],
            [self.rows[place].ids[i] for place, mine in zip(places, found, strict=True) for i in mine],
            [number for mine in found for number in range(len(mine))]))
        return Words(hidden[owners, at - 1], targets, owners, order)          # a token is told by the one before it

    def losses(self, places: Sequence[int], smoothing: float = 0.0,
               soft: Soft | None = None) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each learned token in nats, and the position of its row in `places`. [tokens] each

        Args:
            soft: what a teacher thinks of these tokens; the divergence from it is mixed in.
        """
        words = self.words(places)
        return self.vocabulary.losses(words.vectors, words.targets, smoothing, soft), words.owners

    def sums(self, places: Sequence[int]) -> Tensor:
        """Cross-entropy of each row in nats, summed over its learned tokens. [rows], on the CPU"""
        each, owners = self.losses(places)
        return each.new_zeros(len(places)).index_add(0, owners, each).cpu()

    @torch.no_grad()
    def scores(self, places: Sequence[int]) -> NDArray[np.float32]:
        """Logits of every word before some learned tokens of these rows, spread over all. [tokens, words]"""
        vectors = self.words(places).vectors
        some = torch.linspace(0, len(vectors) - 1, min(len(vectors), SHOWN_TOKENS), device=vectors.device).long()
        return self.vocabulary.logits(vectors[some]).float().cpu().numpy()

    @torch.no_grad()
    def judge(self, places: Sequence[int], progress: Progress = SILENT, work: str = "",
              soft: Callable[[Sequence[int]], Soft] | None = None) -> Losses:
        """Losses of the rows at these positions, as the model is now.

        Args:
            soft: what a teacher thinks of the learned tokens of some of them.
        """
        nats = np.zeros(len(places))
        progress.start(work, len(places), "texts")
        for some in by_length([len(self.rows[i].ids) for i in places], TOKENS_PER_BATCH):
            mine = [places[i] for i in some]
            each, owners = self.losses(mine, soft=soft(mine) if soft else None)
            sums = each.new_zeros(len(some), dtype=torch.float64).index_add_(0, owners, each.double())
            nats[some] = sums.cpu().numpy()
            progress.advance(work, len(some))
        progress.done(work)
        return Losses(nats, np.array([self.rows[i].count for i in places], np.int64))


class Objective(ABC):
    """What a method of teaching adds: its rows, which of them stand together, and a loss of them.

    Args:
        rows: all rows that are read; those that the model is judged by are among them.
        batches: positions of the rows of each step.
        judged: positions of the rows whose loss is measured before and after.
        held: tokens that `validate` reads.
        pace: share of the usual learning rate that is the default.
    """

    rows: Sequence[Row]
    batches: Batches
    judged: Sequence[int]
    held: int
    pace: float = 1.0

    def prepare(self, student: Student) -> None:  # noqa: B027  (most methods need nothing)
        """Once, before anything is learned: what the method needs of the model as it is."""

    @abstractmethod
    def loss(self, student: Student, places: list[int]) -> Tensor:
        """The loss of a batch."""

    @abstractmethod
    def validate(self, student: Student) -> tuple[float | None, dict[str, float]]:
        """The number to make small, None where there are no rows to tell it by; and others for the history."""

    def finish(self, student: Student) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Further figures of the judged rows before and after, by name; after the last step. [rows] each"""
        return {}


@dataclass(frozen=True)
class Tuned:
    """A model that learned to write.

    Args:
        backbone: the model, adapters merged.
        before, after: losses of the judged rows.
        shown: logits before some learned tokens of the first judged rows, by base and adapter, not yet merged.
        parameters, trained_parameters: how many it has, and how many were trained.
        predicted_seconds: what its first seconds said, for as many epochs as it had.
        training_seconds: what it took until then: opening the model, judging it as it is, and training.
        more: further figures of the judged rows before and after, by name. [rows] each
    """

    backbone: Backbone
    before: Losses
    after: Losses
    shown: Shown
    parameters: int
    trained_parameters: int
    trained: Trained
    predicted_seconds: float
    training_seconds: float
    more: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lessons(Session):
    """Session of a model that learns to write.

    Args:
        method: which weights are trained: `lora` (adapters on the top `train_layers` layers, merged afterwards),
            `qlora` (the same on weights held at 4 bits), `full` (every weight of these layers; the vocabulary
            stays as it is) or `qat` (the same rounded to 4 bits in every pass, and all other layers' once).
        adapter: a folder where an adapter is written too, as PEFT does it.
        compare: the model is judged as it is too, not only when it has learned.
    """

    config: TextConfig = field(default_factory=TextConfig)
    method: str = "lora"
    adapter: Path | None = None
    compare: bool = True


METHODS: dict[str, Callable[[Backbone, Sequence[list[int]], Session], Trainable]] = {
    "lora": Adapted, "qlora": Adapted,
    "full": lambda backbone, rows, session: Whole(backbone, rows, session, session.config.train_layers),
    "qat": lambda backbone, rows, session: Rounded(backbone, rows, session, session.config.train_layers)}
"""By name: what is trained of a model."""


def teach(lesson: Lessons, objective: Objective) -> Tuned:
    """Open the base model, train it to an objective, and judge it before and after.

    Raises:
        Late: the time budget does not allow a training that is worth its name.
    """
    # what other processes learn, which train along, is thrown away
    if lesson.config.shard and (lesson.method != "lora" or settings().processes == 1):
        raise UserError("--shard shares the frozen layers out among several processes" + (
            ", and there is one." if lesson.method == "lora" else f", which --method {lesson.method} does not do."),
            "Leave it out, or start several with torchrun and take --method lora.")
    with team.sharing(replace(lesson, progress=SILENT, folder=None, adapter=None), objective):
        return _teach(lesson, objective)


def _teach(lesson: Lessons, objective: Objective) -> Tuned:
    config, begun = lesson.config, time.monotonic()
    torch.manual_seed(lesson.seed)
    backbone = Backbone.open(lesson.base, vocabulary=True, max_tokens=config.max_tokens, nf4=lesson.method == "qlora",
                             mapped=config.shard)
    rows = objective.rows
    body = METHODS[lesson.method](backbone, [row.ids for row in rows], lesson)
    student = Student(backbone, body, Vocabulary(backbone), rows)
    before = student.judge(objective.judged if lesson.compare else (), lesson.progress, "judge the model as it is")
    objective.prepare(student)

    def loss(places: list[int]) -> Tensor:
        return objective.loss(student, places)

    @torch.no_grad()
    def validate() -> tuple[float | None, dict[str, float]]:
        return objective.validate(student)

    said = Forecast(0.0, 0.0) if not (team.leads() or config.shard) else forecast(
        body.parameters, body.boundary, loss, objective.batches, lesson, begun=begun, epochs=config.epochs,
        judged=objective.held)
    body.boundary.fill(progress=lesson.progress)
    peak = config.learning_rate or rate(lesson.method, backbone.width) * objective.pace
    done = train(body.parameters, loss, objective.batches, validate, config, seed=lesson.seed, learning_rate=peak,
                 mode=backbone.train, work="fine-tune", folder=lesson.checkpoint, deadline=lesson.deadline,
                 progress=lesson.progress)
    spent = time.monotonic() - begun + done.earlier
    after = student.judge(objective.judged, lesson.progress, "judge the tuned model")
    more = objective.finish(student)
    first = list(objective.judged[:SHOWN_ROWS])
    shown = Shown([rows[place] for place in first], student.scores(first) if first else np.empty((0, 0), np.float32))
    if lesson.adapter is not None and isinstance(body, Adapted):
        save_adapter(body.model, lesson.adapter)
    trained = sum(p.numel() for p in body.parameters.values())
    if config.shard and team.leads():  # a merged model is whole
        values = {name: p.detach() for name, p in body.parameters.items()}
        backbone = Backbone.open(lesson.base, vocabulary=True, max_tokens=config.max_tokens)
        body = METHODS[lesson.method](backbone, [], replace(lesson, config=replace(config, shard=False)))
        copy(values, body.parameters)
    if team.leads():
        body.finish()
    return Tuned(backbone, before, after, shown, sum(p.numel() for p in backbone.root.parameters()), trained, done,
                 said.seconds(done.epochs), spent, more)
