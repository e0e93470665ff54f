"""Which word is written next, whatever engine gives the scores."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .form import Course
from .sampling import Sampling


class Word(NamedTuple):
    """A word that was written."""

    token: int
    chance: float
    """How likely the model found it, of those that could follow; whatever the temperature."""


class Drawing:
    """The words of one answer.

    Args:
        course: of an answer that is held to a schema.
        row: number of the answer, where several are written together: each draws by itself.
    """

    def __init__(self, sampling: Sampling, course: Course | None = None, row: int = 0) -> None:
        self._sampling, self._course = sampling, course
        self._generator = torch.Generator().manual_seed(sampling.seed + 1_000_003 * row)
        self._forced, self._scores = list[int](), torch.empty(0)

    @property
    def ended(self) -> bool:
        """The answer is whole."""
        return self._course is not None and not self._forced and self._course.ended

    def forced(self) -> list[int]:
        """The next words where no others can follow, so that no scores are needed. Most often there are none."""
        if self._course and not self._forced:
            self._forced = self._course.forced()
        words, self._forced = self._forced, []
        return words

    def next(self, scores: Tensor) -> int:
        """The next word. scores: [words]"""
        if forced := self.forced():
            token, *self._forced = forced
            return token
        if self._course:
            scores = scores.masked_fill(~self._course.allowed(len(scores)), -torch.inf)
        token = draw(scores, self._sampling, self._generator)
        if self._course:
            self._course.take(token)
        self._scores = scores
        return token

    def chance(self, token: int) -> float:
        """How likely a word was when `next` drew one."""
        return float(self._scores.softmax(-1)[token])


def draw(scores: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token. scores: [words]"""
    if sampling.temperature == 0:
        return int(scores.argmax())
    chances = (scores / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:  # nucleus sampling, Holtzman et al. 2020
        ordered, places = chances.sort(descending=True)
        kept = ordered.cumsum(0) - ordered < sampling.top_p
        chances = torch.zeros_like(chances).scatter(0, places[kept], ordered[kept])
    return int(torch.multinomial(chances, 1, generator=generator))
