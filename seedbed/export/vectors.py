"""Two forms of a model that embeds, held against each other: cosines, lengths, and what questions find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engines.base import VECTOR
from ..evaluate.floor import upper_bound
from ..tasks.classify import Floats
from .certificate import LIMITS, Check, Held, Limits, Loss
from .yardstick import Whole, Yardstick, shift

LENGTH = 0.1
"""Share by which the length of a vector may be off. What is scaled to length 1 is off by last digits in any
precision; what was not scaled, by a multiple."""


@dataclass(frozen=True)
class Search:
    """What held-out questions should find: the first so many texts are the questions, the others the documents.

    Args:
        right: [questions] positions among the documents of those that answer each question.
        unit: [questions] number of the question's unit: those that share a document stand or fall together.
    """

    right: Sequence[Sequence[int]]
    unit: Sequence[int]


class Vectors(Yardstick):
    """Vectors of texts, which are compared by their cosines."""

    gives, figure, least, same = VECTOR, "cosine", True, LIMITS["bf16"].cosine

    def limit(self, limits: Limits) -> float:
        return limits.cosine

    def apart(self, mine: Floats, truth: Floats) -> float:
        """The cosine of the two."""
        return float(unit(mine) @ unit(truth))

    def together(self, mine: Sequence[Floats], truth: Sequence[Floats], limits: Limits) -> list[Whole]:
        def lengths() -> float:
            here, there = (np.linalg.norm(one, axis=1) for one in (mine, truth))
            return float(np.abs(here - there).max() / there.min())

        def between() -> float:
            here, there = (unit(np.stack(one)) for one in (mine, truth))
            return float(np.abs(here @ here.T - there @ there.T).max())
        return [("length of a vector, off by", LENGTH, lengths),
                ("off by, of the distance between texts", limits.shift,
                 lambda: shift(np.stack(mine), np.stack(truth))),
                ("cosine between two texts, off by", limits.between, between)]

    def ask(self, model: Any, texts: Sequence[str]) -> Floats:
        """[texts, width]"""
        return np.asarray(model.vectors(texts))

    def compare(self, mine: Any, held: Held, precision: str) -> tuple[list[Check], Loss]:
        from ..evaluate.cases import by_unit
        from ..evaluate.retrieval import best, by_cosine, estimates, search

        asked: Search = held.targets
        n = len(asked.right)
        ways = [by_cosine(one[:n], one[n:]) for one in (unit(held.answers), unit(mine))]
        before, after = (search(way, asked.right) for way in ways)
        same = np.mean([one == other for one, other in zip(*(best(way, n) for way in ways), strict=True)])
        rows = by_unit(np.ones(n), asked.unit)
        here, there = (by_unit(one.ndcg, asked.unit) / rows for one in (after, before))
        lost = there - here
        scores = [estimates(one, asked.unit) for one in (before, after)]
        loss = Loss(n=len(rows), of="questions", what="nDCG@10", before=float(there.mean()), after=float(here.mean()),
                    bound=upper_bound(lost, held.confidence), confidence=held.confidence, floor=held.floor,
                    moved=lost[lost != 0].tolist(), scores={name: (scores[0][name], scores[1][name])
                                                            for name in scores[0]})
        return [Check(name="same nearest document, held-out questions", n=n, found=float(same),
                      limit=LIMITS[precision].alike, least=True), loss.check], loss


def unit(vectors: Floats) -> Floats:
    """Scaled to length 1. [..., width]"""
    wide = np.asarray(vectors, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # one without a length becomes no number, which never passes
        return np.asarray(wide / np.linalg.norm(wide, axis=-1, keepdims=True), np.float64)
