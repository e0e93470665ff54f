"""A sentence encoder tuned by contrast, then a linear head: the method for few labels.

SetFit (Tunstall et al. 2022) draws pairs of texts and pulls the cosine of equal labels to 1 and of others to 0.
Here a batch of texts is encoded once and all its pairs are used, which gives 7 times the pairs for the same work.
"""

from __future__ import annotations

import dataclasses
import random
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..engines.transformer import TransformerHead
from ..models.backbone import Backbone
from .config import upper_half
from .forecast import forecast
from .lesson import Fitted, Lesson
from .linear import logistic_head
from .loop import train
from .trainable import Whole

RATE = 6e-5
"""Peak learning rate when none is given. docs/LOG.md has what was tried, also of the numbers below."""
TEXTS = 16
MAX_TOKENS = 128
"""Texts are cut to this many tokens while the encoder is tuned: a step holds every activation of 16 texts, and the
beginning of a text says what it is about. The head is fitted on the vectors of whole texts."""
LEAST_BATCHES, MOST_BATCHES = 10, 30
"""Batches an epoch: few texts are seen often, in ever new company; many are not all needed."""
MOST_EPOCHS = 4


@dataclass(frozen=True)
class Mixed:
    """Batches in which each label is as common as any other, so that there are pairs of both kinds.

    Args:
        labels: one label a text (for multi-label any one of its labels).
        seed: fixes the draw.
    """

    labels: list[int]
    seed: int

    def epoch(self, number: int) -> list[list[int]]:
        """Batches of that epoch; a text of a rare label stands in many of them."""
        chance = random.Random(self.seed * 1_000_003 + number)
        by_label: dict[int, list[int]] = {}
        for place, label in enumerate(self.labels):
            by_label.setdefault(label, []).append(place)
        count = min(MOST_BATCHES, max(LEAST_BATCHES, 2 * len(self.labels) // TEXTS))
        out = []
        for _ in range(count):
            batch: list[int] = []
            decks = [chance.sample(places, len(places)) for places in by_label.values()]
            chance.shuffle(decks)
            while len(batch) < TEXTS and any(decks):
                batch += [deck.pop() for deck in decks if deck]
            out.append(batch[:TEXTS])
        return out


def contrast(lesson: Lesson) -> Fitted:
    """Tune the upper half of the encoder's layers on pairs, then fit logistic regression on its vectors."""
    config = dataclasses.replace(lesson.config, epochs=min(lesson.config.epochs, MOST_EPOCHS), patience=2)
    begun = time.monotonic()
    torch.manual_seed(lesson.seed)
    backbone = Backbone.open(lesson.base, max_tokens=config.max_tokens)
    rows = [row[:MAX_TOKENS] for row in backbone.tokens([*lesson.texts, *lesson.held_texts])]
    body = Whole(backbone, rows, lesson, upper_half(len(backbone.layers)))
    y = lesson.task.encode([*lesson.targets, *lesson.held_targets])
    alike = _alike(y, lesson.task.multi_label)
    count = len(lesson.texts)
    held = Mixed(_one_label(y[count:]), lesson.seed).epoch(0)[:LEAST_BATCHES] \
        if len(lesson.held_texts) > 1 else []  # one text makes no pair

    def loss(places: list[int]) -> Tensor:
        vectors = F.normalize(body.vectors(places), dim=-1)
        above = torch.triu_indices(len(places), len(places), 1)
        cosine = (vectors @ vectors.t())[above[0], above[1]]
        return F.mse_loss(cosine, alike(places)[above[0], above[1]])

    @torch.no_grad()
    def validate() -> tuple[float | None, dict[str, float]]:
        if not held:
            return None, {}
        return float(np.mean([float(loss([count + i for i in places])) for places in held])), {}

    batches = Mixed(_one_label(y[:count]), lesson.seed)
    tokens = [len(row) for row in rows]
    said = forecast(body.parameters, body.boundary, loss, batches, lesson, begun=begun, epochs=config.epochs,
                    read=sum(tokens[:count]), judged=sum(tokens[count + i] for places in held for i in places))
    body.boundary.fill(progress=lesson.progress)
    done = train(body.parameters, loss, batches, validate, config, seed=lesson.seed,
                 learning_rate=config.learning_rate or RATE, mode=backbone.train, work="contrast",
                 folder=lesson.checkpoint, deadline=lesson.deadline,
                 progress=lesson.progress)
    body.finish()
    vectors = backbone.embed(lesson.texts).numpy()
    head, chosen = logistic_head(vectors, y[:count], lesson)
    trained = sum(p.numel() for p in body.parameters.values()) + head[0].size
    whole = sum(p.numel() for p in backbone.body.parameters()) + head[0].size
    return Fitted(TransformerHead(backbone, *head), whole, trained, done.history,
                  f"{done.note}; head: {chosen}", said.seconds(done.epochs))


def _alike(y: NDArray[np.int64], multi_label: bool) -> Any:
    """A function from positions to [texts, texts]: 1 for equal labels, 0 for none in common, between for some."""
    def single(places: list[int]) -> Tensor:
        some = torch.from_numpy(y[places])
        return (some[:, None] == some[None]).float()

    def several(places: list[int]) -> Tensor:
        some = torch.from_numpy(y[places]).float()
        common = some @ some.t()
        either = some.sum(1)[:, None] + some.sum(1)[None] - common
        return torch.where(either > 0, common / either.clamp(min=1), torch.ones_like(common))
    return several if multi_label else single


def _one_label(y: NDArray[np.int64]) -> list[int]:
    """One label a text: for multi-label the rarest it has, -1 for none."""
    if y.ndim == 1:
        return [int(i) for i in y]
    rarity = np.argsort(np.argsort(y.sum(0)))
    return [int(min(np.flatnonzero(row), key=lambda i: rarity[i])) if row.any() else -1 for row in y]
