"""Two forms of a classifier, held against each other: probabilities, divergence, answers, accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.base import LABELS
from ..evaluate.floor import upper_bound
from ..tasks.classify import Classify, Floats
from .certificate import LIMITS, Check, Held, Limits, Loss
from .yardstick import Whole, Yardstick

PARITY_LIMIT = 0.02
"""Largest difference in probability that a saved model may show against the one in memory. Threads and bf16 move
the last digits; more than this is another model."""


class Labels(Yardstick):
    """Calibrated probabilities of labels.

    Args:
        task: the labels.
        temperature: divides the logits.
    """

    gives, figure, same = LABELS, "probability", PARITY_LIMIT

    def __init__(self, task: Classify, temperature: float) -> None:
        self.task, self.temperature = task, temperature

    def limit(self, limits: Limits) -> float:
        return limits.probability

    def values(self, answer: Floats) -> Floats:
        return np.asarray(self.task.probabilities(answer[None], self.temperature)[0], np.float32)

    def apart(self, mine: Floats, truth: Floats) -> float:
        """The largest difference of a probability."""
        return float(np.abs(mine - truth).max())

    def together(self, mine: Sequence[Floats], truth: Sequence[Floats], limits: Limits) -> list[Whole]:
        return [("divergence", limits.divergence,
                 lambda: divergence(self.task, np.stack(truth), np.stack(mine)))]

    def ask(self, model: Any, texts: Sequence[str]) -> Floats:
        """Logits. [texts, labels]"""
        return np.asarray(model.logits(texts))

    def compare(self, mine: Any, held: Held, precision: str) -> tuple[list[Check], Loss]:
        from ..evaluate.scores import score

        task, other = self.task, held.answers if held.original is None else held.original
        limits, y = LIMITS[precision], task.encode(held.targets)
        probabilities, truth = (task.probabilities(one, self.temperature) for one in (mine, held.answers))
        decided, before = (task.decide(one).reshape(len(y), -1) for one in (probabilities, truth))
        right = [right_of(task, y, one, self.temperature) for one in (other, mine)]
        bound = upper_bound(right[0] - right[1], held.confidence)
        scores = [score(task, y, one, "test", temperature=self.temperature) for one in (other, mine)]
        n = len(y)
        loss = Loss(n=n, before=float(right[0].mean()), after=float(right[1].mean()), bound=bound,
                    confidence=held.confidence, floor=held.floor, lost=np.flatnonzero(right[0] > right[1]).tolist(),
                    won=np.flatnonzero(right[1] > right[0]).tolist(), scores={
                        name: (getattr(scores[0], name), getattr(scores[1], name))
                        for name in ("macro_f1", "micro_f1", "accuracy")})
        return [Check(name="divergence, held-out rows", n=n, found=divergence(task, truth, probabilities),
                      limit=limits.divergence),
                Check(name="same answer, held-out rows", n=n, found=float((decided == before).all(axis=1).mean()),
                      limit=limits.agreement, least=True),
                loss.check], loss


def right_of(task: Classify, y: Any, logits: Floats, temperature: float) -> NDArray[np.float64]:
    """Which rows are answered right, in every label. [rows] of 0 and 1"""
    decided = task.decide(task.probabilities(logits, temperature)).reshape(len(y), -1)
    return np.asarray((decided == y.reshape(len(y), -1)).all(axis=1), np.float64)


def divergence(task: Classify, truth: Floats, said: Floats) -> float:
    """Mean Kullback-Leibler divergence from the reference's probabilities, in nats; of multi-label by label."""
    p, q = (np.clip(np.asarray(one, np.float64), 1e-12, 1) for one in (truth, said))
    each = p * np.log(p / q)
    if task.multi_label:
        p, q = (np.clip(1 - one, 1e-12, 1) for one in (p, q))
        each = each + p * np.log(p / q)
        return float(each.mean())
    return float(each.sum(axis=1).mean())
