"""A language model learns which answers are preferred: from pairs (DPO, ORPO), or from answers judged alone (KTO)."""

from __future__ import annotations

import random
import time
from abc import abstractmethod
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..models.template import Row
from .batches import batches_of
from .generate import TextLesson
from .lesson import Late
from .loop import Batches
from .student import Objective, Student, Tuned, teach

PROBE = 64
"""Answers by whose time it is told whether the reference fits the time budget."""


@dataclass(frozen=True)
class Preferences(TextLesson):
    """Which answers a model shall prefer. The learned tokens of a row are an answer.

    Args:
        by: `dpo` or `orpo`: in `rows`, `held` and `judged` each good answer is followed by the bad one to the same
            prompt. `kto`: they stand in any order.
        good: whether each answer of `rows` and then of `held` is good; only `kto` asks.
    """

    by: str = "dpo"
    good: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class Paired:
    """Batches in which each answer is followed by its companion.

    Args:
        buckets: over the pairs.
        first: the pair that is the first of `buckets`.
    """

    buckets: Batches
    first: int = 0

    def epoch(self, number: int) -> list[list[int]]:
        """Positions of rows; the pair p is at 2 p and 2 p + 1."""
        return [[row for pair in batch for row in (2 * (self.first + pair), 2 * (self.first + pair) + 1)]
                for batch in self.buckets.epoch(number)]


class Preference(Objective):
    """What the methods share: pairs in batches, and what the model said of them before anything was learned.

    No second model is held for that: adapters begin as the identity, so the model as it is is the reference. A
    resumed training gets the same, as `prepare` runs before the weights of the checkpoint are put in.
    """

    refers = True
    """The loss compares with the model as it was."""
    pace = 0.1  # measured with DPO on SmolLM2-135M: docs/train.md

    def __init__(self, lesson: Preferences) -> None:
        config, self.lesson = lesson.config, lesson
        answers = self.pairs(lesson.rows), self.pairs(lesson.held)
        seen = [*answers[0], *answers[1]]
        self.seen, self.rows = len(seen), [*seen, *lesson.judged]
        self.judged = range(self.seen, len(self.rows))
        self.tokens = torch.tensor([row.count for row in seen], dtype=torch.float32)
        lengths = [max(len(a.ids), len(b.ids)) for a, b in zip(seen[::2], seen[1::2], strict=True)]
        self.learned = count = len(answers[0]) // 2
        half = replace(config, batch_texts=max(1, config.batch_texts // 2), batch_tokens=config.batch_tokens // 2)
        self.batches = Paired(batches_of(lengths[:count], half, lesson.seed))
        self.validation = Paired(batches_of(lengths[count:], half, lesson.seed), count).epoch(0)
        self.held = sum(len(row.ids) for row in answers[1])

    def pairs(self, answers: list[Row]) -> list[Row]:
        """The rows of which each two stand together."""
        return answers

    def prepare(self, student: Student) -> None:
        if not self.refers:
            return
        lesson, at = self.lesson, time.monotonic()
        first = student.judge(range(min(PROBE, self.seen)))
        needed = (time.monotonic() - at) / PROBE * (self.seen - PROBE)
        if lesson.deadline is not None and time.monotonic() + needed > lesson.deadline:
            raise Late(f"to ask the model as it is about all answers would take about {needed:.0f} s; raise it with "
                       "--budget")
        rest = student.judge(range(len(first.nats), self.seen), lesson.progress, "ask the model as it is")
        self.reference = torch.tensor([*first.nats, *rest.nats], dtype=torch.float32)

    def loss(self, student: Student, places: list[int]) -> Tensor:
        return self.each(student, places).mean()

    @abstractmethod
    def each(self, student: Student, places: list[int]) -> Tensor:
        """The loss of each pair of the rows at these positions. [pairs]"""

    def validate(self, student: Student) -> tuple[float | None, dict[str, float]]:
        losses = [float(one) for places in self.validation for one in self.each(student, places)]
        return (sum(losses) / len(losses) if losses else None), {}

    @torch.no_grad()
    def finish(self, student: Student) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Where no rows are judged, as in a search: the loss of each pair of the validation split, as `held`."""
        found = np.zeros(self.seen // 2 - self.learned)
        for places in [] if self.judged else self.validation:
            found[[place // 2 - self.learned for place in places[::2]]] = self.each(student, places).numpy()
        return {"held": (np.zeros_like(found), found)}

    def gained(self, student: Student, places: list[int]) -> tuple[Tensor, Tensor]:
        """How much likelier each answer became, in nats; and its cross-entropy now. [rows] each"""
        nats = student.sums(places)
        return self.reference[places] - nats, nats


class Dpo(Preference):
    """Direct preference optimization (Rafailov et al. 2023), with the chosen answers' own loss beside it as in
    "Iterative Reasoning Preference Optimization" (Pang et al. 2024)."""

    def each(self, student: Student, places: list[int]) -> Tensor:
        gained, nats = self.gained(student, places)
        config = self.lesson.config
        own = nats[::2] / self.tokens[places[::2]]
        return dpo(gained[::2], gained[1::2], config.beta) + config.chosen_weight * own


class Orpo(Preference):
    """Odds ratio preference optimization (Hong et al. 2024): no reference is needed."""

    refers = False
    pace = 0.25

    def each(self, student: Student, places: list[int]) -> Tensor:
        likely = -student.sums(places) / self.tokens[places]
        return orpo(likely[::2], likely[1::2], self.lesson.config.beta)


class Kto(Preference):
    """Kahneman-Tversky optimization (Ethayarajh et al. 2024).

    Its companion stands beside each answer: the same prompt with the answer to another, by which a batch tells how
    far the model has moved from the reference. The rarer kind of answer weighs more, so that both kinds weigh alike.
    """

    def pairs(self, answers: list[Row]) -> list[Row]:
        order = list(range(len(answers)))
        random.Random(self.lesson.seed).shuffle(order)
        other = dict(zip(order, [*order[1:], *order[:1]], strict=True))
        return [row for at, one in enumerate(answers) for row in (one, mismatched(
            one, answers[other[at]], self.lesson.config.max_tokens))]

    def __init__(self, lesson: Preferences) -> None:
        super().__init__(lesson)
        self.good = torch.tensor(lesson.good)
        liked = max(1, sum(lesson.good[:len(lesson.rows)]))
        disliked = max(1, len(lesson.rows) - liked)
        self.weights = torch.where(self.good, max(1.0, disliked / liked), max(1.0, liked / disliked))

    def each(self, student: Student, places: list[int]) -> Tensor:
        with torch.no_grad():
            moved = self.gained(student, places[1::2])[0].mean().clamp(min=0)
        answers = places[::2]
        which = [place // 2 for place in answers]
        return self.weights[which] * kto(self.gained(student, answers)[0], self.good[which], moved,
                                         self.lesson.config.beta)


def dpo(good: Tensor, bad: Tensor, beta: float) -> Tensor:
    """Loss of each pair: -log sigmoid of beta times how much more the good answer gained.

    Args:
        good, bad: [pairs] log-probability of each answer less that by the reference, in nats.
    """
    return F.softplus(-beta * (good - bad))


def orpo(good: Tensor, bad: Tensor, beta: float) -> Tensor:
    """Loss of each pair: the good answer's own, and beta times -log sigmoid of the logarithm of the ratio of odds.

    Args:
        good, bad: [pairs] log-probability of each answer a token, in nats.
    """
    odds = [one - torch.log(-torch.expm1(one.clamp(max=-1e-6))) for one in (good, bad)]
    return -good + beta * F.softplus(odds[1] - odds[0])


def kto(gained: Tensor, good: Tensor, moved: Tensor, beta: float) -> Tensor:
    """Loss of each answer, before it is weighed: 1 less its value as a gain or a loss seen from `moved`.

    Args:
        gained: [answers] log-probability less that by the reference, in nats.
        good: [answers] whether it is liked.
        moved: [] how far the model is from the reference: the mean of `gained` over mismatched answers, not below 0.
    """
    return torch.sigmoid(beta * torch.where(good, moved - gained, gained - moved))


def mismatched(one: Row, other: Row, most: int) -> Row:
    """The prompt of a row with the answer of another."""
    begin, at = one.learned.index(True), other.learned.index(True)
    return Row([*one.ids[:begin], *other.ids[at:]][:most], [*one.learned[:begin], *other.learned[at:]][:most])


METHODS: dict[str, type[Preference]] = {"dpo": Dpo, "orpo": Orpo, "kto": Kto}


def prefer(lesson: Preferences) -> Tuned:
    """Learn to prefer these answers.

    Raises:
        Late: the time budget does not allow a training that is worth its name.
    """
    return teach(lesson, METHODS[lesson.by](lesson))
