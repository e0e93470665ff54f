"""A causal language model learns to write: the loss is that of the learned tokens alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models.adapters import save_adapter
from ..models.backbone import TOKENS_PER_BATCH, Backbone, by_length
from ..models.template import Row
from ..models.vocabulary import Vocabulary
from ..progress import SILENT, Progress
from .batches import Buckets
from .config import TextConfig
from .forecast import forecast
from .lesson import Session
from .loop import Trained, train
from .trainable import Adapted, Trainable, Whole

LORA_RATE, WHOLE_RATE = 5e-4, 5e-5
"""Peak learning rates when none is given; docs/LOG.md has what was tried."""


@dataclass(frozen=True)
class TextLesson(Session):
    """What a model shall learn to write.

    Args:
        rows: the training split.
        held: the validation split, for early stopping.
        judged: rows that the model before and after is judged by; training does not look at them.
    """

    rows: list[Row]
    held: list[Row] = field(default_factory=list)
    judged: list[Row] = field(default_factory=list)
    config: TextConfig = field(default_factory=TextConfig, kw_only=True)


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
class Tuned:
    """A model that learned to write.

    Args:
        backbone: the model, adapters merged.
        before, after: losses of the judged rows.
        parameters, trained_parameters: how many it has, and how many were trained.
        predicted_seconds: what its first seconds said, for as many epochs as it had.
    """

    backbone: Backbone
    before: Losses
    after: Losses
    parameters: int
    trained_parameters: int
    trained: Trained
    predicted_seconds: float


def lora(lesson: TextLesson, adapter: Path | None = None) -> Tuned:
    """LoRA (Hu et al. 2021) on the top `train_layers` layers, merged afterwards.

    Args:
        adapter: a folder where the adapter is written too, as PEFT does it.
    """
    return _tune(lesson, Adapted, LORA_RATE, adapter)


def whole(lesson: TextLesson) -> Tuned:
    """Every weight of the top `train_layers` layers, in fp32 values; the vocabulary stays as it is."""
    def top(backbone: Backbone, rows: Sequence[list[int]], session: Session) -> Whole:
        return Whole(backbone, rows, session, session.config.train_layers)

    return _tune(lesson, top, WHOLE_RATE, None)


def _tune(lesson: TextLesson, make: Callable[[Backbone, Sequence[list[int]], Session], Trainable], rate: float,
          adapter: Path | None) -> Tuned:
    config, begun = lesson.config, time.monotonic()
    torch.manual_seed(lesson.seed)
    backbone = Backbone.open(lesson.base, max_tokens=config.max_tokens, vocabulary=True)
    vocabulary = Vocabulary(backbone)
    rows = [*lesson.rows, *lesson.held, *lesson.judged]
    count, judged = len(lesson.rows), len(lesson.rows) + len(lesson.held)
    body = make(backbone, [row.ids for row in rows], lesson)
    before = _losses(body, vocabulary, rows, range(judged, len(rows)), lesson.progress, "judge the model as it is")

    def loss(places: list[int]) -> Tensor:
        return _each(body, vocabulary, rows, places)[0].mean()

    @torch.no_grad()
    def validate() -> tuple[float | None, dict[str, float]]:
        if not lesson.held:
            return None, {}
        return _losses(body, vocabulary, rows, range(count, judged)).mean, {}

    lengths = [len(row.ids) for row in rows]
    batches = Buckets(lengths[:count], config.batch_texts, config.batch_tokens, lesson.seed)
    said = forecast(body.parameters, body.boundary, loss, batches, lesson, begun=begun, epochs=config.epochs,
                    judged=sum(lengths[count:judged]))
    body.boundary.fill(progress=lesson.progress)
    done = train(body.parameters, loss, batches, validate, config, seed=lesson.seed,
                 learning_rate=config.learning_rate or rate, mode=backbone.train, work="fine-tune",
                 folder=lesson.checkpoint, deadline=lesson.deadline, progress=lesson.progress)
    after = _losses(body, vocabulary, rows, range(judged, len(rows)), lesson.progress, "judge the tuned model")
    if adapter is not None and isinstance(body, Adapted):
        save_adapter(body.model, adapter)
    trained = sum(p.numel() for p in body.parameters.values())
    body.finish()
    return Tuned(backbone, before, after, sum(p.numel() for p in backbone.root.parameters()), trained, done,
                 said.seconds(done.epochs))


def _each(body: Trainable, vocabulary: Vocabulary, rows: Sequence[Row],
          places: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every learned token of these rows, and the position in `places` of its row. [tokens] each"""
    hidden = body.vectors(places, pool=False)                                 # [rows, tokens, width]
    owner, at = [], []
    for number, place in enumerate(places):
        mine = [i for i, learned in enumerate(rows[place].learned) if learned and i]
        owner += [number] * len(mine)
        at += mine
    targets = torch.tensor([rows[places[number]].ids[i] for number, i in zip(owner, at, strict=True)])
    owners, before = torch.tensor(owner), torch.tensor(at) - 1                # a token is told by the one before it
    return vocabulary.losses(hidden[owners, before], targets), owners


@torch.no_grad()
def _losses(body: Trainable, vocabulary: Vocabulary, rows: Sequence[Row], places: Sequence[int],
            progress: Progress = SILENT, work: str = "") -> Losses:
    nats = np.zeros(len(places))
    progress.start(work, len(places), "texts")
    for some in by_length([len(rows[i].ids) for i in places], TOKENS_PER_BATCH):
        each, owners = _each(body, vocabulary, rows, [places[i] for i in some])
        nats[some] = torch.zeros(len(some), dtype=torch.float64).index_add_(0, owners, each.double()).numpy()
        progress.advance(work, len(some))
    progress.done(work)
    return Losses(nats, np.array([rows[i].count for i in places], np.int64))
