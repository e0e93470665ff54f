"""How answers of two forms of a model are held against each other: a yardstick for each thing that a model gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tasks.classify import Classify, Floats

if TYPE_CHECKING:
    from .certificate import Check, Held, Limits, Loss
    from .manifest import Manifest

READS = ("classify", "embed", "entities")
"""Kinds of task whose models read texts and do not write."""
Whole = tuple[str, float, Callable[[], float]]
"""Name of a figure of all probe texts together, the most that it may be, and what measures it."""


class Yardstick(ABC):
    """For one model. Its answers are what its graph gives of one text: [labels], [width] or [tokens, tags].

    Args:
        gives: as `engines.base` names it.
        figure: what tells two answers apart, for people.
        least: more of it is better.
        same: what it may be at worst between the reference here and where it was exported.
    """

    gives: str
    figure: str
    least = False
    same: float

    @abstractmethod
    def limit(self, limits: Limits) -> float:
        """What `figure` may be at worst."""

    def values(self, answer: Floats) -> Floats:
        """What is compared of an answer."""
        return answer

    @abstractmethod
    def apart(self, mine: Floats, truth: Floats) -> float:
        """`figure` of the values of one text."""

    @abstractmethod
    def together(self, mine: Sequence[Floats], truth: Sequence[Floats], limits: Limits) -> list[Whole]:
        """What is compared of the values of all probe texts."""

    @abstractmethod
    def ask(self, model: Any, texts: Sequence[str]) -> Any:
        """What a form of the model answers to texts, for `compare`."""

    @abstractmethod
    def compare(self, mine: Any, held: Held, precision: str) -> tuple[list[Check], Loss]:
        """Answers to held-out rows against the reference's. The last check is that of the loss."""

    def worst(self, found: Sequence[float]) -> float:
        """Of several texts; not a number where any is not."""
        return float((np.min if self.least else np.max)(np.asarray(found, np.float64)))

    def told(self, found: float, limit: float) -> str:
        """One clause for people of what does not fit."""
        return f"a {self.figure} is {'' if self.least else 'off by '}{found:.3g} where {limit:.3g} is " \
               f"{'the least' if self.least else 'allowed'}"

    def fits(self, found: float, limit: float) -> bool:
        """Whether a figure keeps to its limit; what is not a number never does."""
        return bool(found >= limit if self.least else found <= limit)

    def masked(self, causal: bool) -> bool:
        """Whether padding that is declared as text must change the answers."""
        return True


def shift(mine: Floats, truth: Floats) -> float:
    """By how much rows of numbers are off, as a share of how far they are from their mean; root mean squares both.
    [rows, numbers]"""
    here, there = np.asarray(mine, np.float64), np.asarray(truth, np.float64)
    return float(np.linalg.norm(here - there) / np.linalg.norm(there - there.mean(axis=0)))


def yardstick(manifest: Manifest) -> Yardstick:
    """That of a bundle's model.

    Raises:
        KeyError, TypeError: the manifest does not describe it.
    """
    kind = manifest.task.get("task", Classify.name)
    if kind == "embed":
        from .vectors import Vectors
        return Vectors()
    if kind == "entities":
        from ..tasks.entities import Entities
        from .tags import Tags
        return Tags(Entities.from_dict(manifest.task))
    from .labels import Labels
    return Labels(Classify.from_dict(manifest.task), manifest.temperature)
