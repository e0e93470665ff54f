"""Two forms of a model that marks entities, held against each other: probabilities of tags, and what is marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.marks import Span
from ..engines.base import TAGS
from ..engines.exported import Exported
from ..engines.marks import ExportedMarks, Logs, Marks
from ..evaluate.floor import upper_bound
from ..tasks.classify import Floats
from ..tasks.entities import Entities
from .certificate import LIMITS, Check, Held, Limits, Loss
from .labels import PARITY_LIMIT
from .yardstick import Whole, Yardstick, shift


@dataclass(frozen=True)
class Marked:
    """What is labelled in held-out rows.

    Args:
        spans: of each row.
        unit: [rows] number of the row's unit: rows of one document are alike.
    """

    spans: Sequence[Sequence[Span]]
    unit: Sequence[int]


class Tags(Yardstick):
    """Probabilities of each token's tags, and the entities that they mean.

    Args:
        task: the labels, and how tags become spans.
    """

    gives, figure, same = TAGS, "probability of a tag", PARITY_LIMIT

    def __init__(self, task: Entities) -> None:
        self.task = task

    def limit(self, limits: Limits) -> float:
        return limits.probability

    def masked(self, causal: bool) -> bool:
        """Of a causal model padding stands where no token looks."""
        return not causal

    def apart(self, mine: Floats, truth: Floats) -> float:
        """The largest difference of a probability at a token, the mean of the text's tokens: a token that the model
        itself is in doubt of tells less than all."""
        if mine.shape != truth.shape:
            return float("nan")
        return float(np.abs(np.exp(mine) - np.exp(truth)).max(axis=1).mean())

    def together(self, mine: Sequence[Floats], truth: Sequence[Floats], limits: Limits) -> list[Whole]:
        here, there = np.concatenate(mine), np.concatenate(truth)
        return [("off by, of the distance between tokens", limits.shift, lambda: shift(here, there)),
                ("divergence, nats a token", limits.divergence,
                 lambda: _divergence(np.exp(there), np.exp(here))),
                ("tokens with another tag, share", 1 - limits.agreement,
                 lambda: float((here.argmax(-1) != there.argmax(-1)).mean()))]

    def ask(self, model: Any, texts: Sequence[str]) -> list[Logs]:
        """Of each text."""
        return self.marks(model).logs(texts)

    def marks(self, model: Any) -> Marks:
        """Any form of the model, as one that marks."""
        found: Marks = ExportedMarks(model, self.task) if isinstance(model, Exported) else model
        return found

    def compare(self, mine: Any, held: Held, precision: str) -> tuple[list[Check], Loss]:
        from ..evaluate.cases import by_unit
        from ..evaluate.entities import count, estimates, row_f1

        asked: Marked = held.targets
        limits, n, other = LIMITS[precision], len(held.texts), held.answers
        found, before = ([self.task.decode(text, log, offsets) for text, (log, offsets) in
                          zip(held.texts, one, strict=True)] for one in (mine, other))
        logs = [np.exp(np.concatenate([log for log, _ in one])) for one in (other, mine)]
        tables = [count(self.task, asked.spans, one) for one in (before, found)]
        rows = by_unit(np.ones(n), asked.unit)
        there, here = (by_unit(row_f1(one), asked.unit) / rows for one in tables)
        lost, scores = there - here, [estimates(one, asked.unit) for one in tables]
        loss = Loss(n=len(rows), what="F1 of a row", before=float(there.mean()), after=float(here.mean()),
                    bound=upper_bound(lost, held.confidence), confidence=held.confidence, floor=held.floor,
                    moved=lost[lost != 0].tolist(),
                    scores={name: (scores[0][name], scores[1][name]) for name in scores[0]})
        alike = row_f1(count(self.task, before, found)).mean()
        return [Check(name="divergence, held-out rows, nats a token", n=n, found=_divergence(*logs),
                      limit=limits.divergence),
                Check(name="same entities, held-out rows", n=n, found=float(alike), limit=limits.alike,
                      least=True), loss.check], loss


def _divergence(truth: Floats, said: Floats) -> float:
    """Mean Kullback-Leibler divergence of tokens. [tokens, tags]"""
    p, q = (np.clip(np.asarray(one, np.float64), 1e-12, 1) for one in (truth, said))
    return float((p * np.log(p / q)).sum(axis=1).mean())
