"""The wrong decisions worth reading: those the model was surest of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.personal import redact
from ..tasks.classify import Classify, Floats
from .counts import checked
from .result import Mistake

if TYPE_CHECKING:
    from ..data.dataset import Dataset

LENGTH = 300


def mistakes(task: Classify, dataset: Dataset, y: NDArray[Any], logits: Floats, temperature: float,
             k: int = 20) -> list[Mistake]:
    """The k surest wrong decisions. Many of them are wrong labels (Northcutt et al. 2021, "Confident learning").

    Args:
        dataset: the rows, in the order of `y` and `logits`.
        y: [rows] class indices, or [rows, labels] 0/1.
        logits: [rows, labels].
        temperature: from `fit_temperature`.
        k: how many at most; in their texts personal data is masked, and they are cut to 300 characters.

    Raises:
        DataError: no rows, or logits that are not numbers.
    """
    checked(task, y, [("The candidate", logits)], dataset)
    probabilities = task.probabilities(logits, temperature)
    decided, confidence = task.decide(probabilities), task.confidence(probabilities)
    wrong = (decided != y).any(axis=1) if task.multi_label else decided != y
    rows = np.flatnonzero(wrong)
    worst = rows[np.argsort(-confidence[rows], kind="stable")][:k]
    part = dataset.take([int(row) for row in worst])
    answers, targets = task.words(decided[worst]), task.words(y[worst])
    return [Mistake(id=id_, line=line, text=_cut(text), target=target, predicted=answer, confidence=float(sure))
            for id_, line, text, target, answer, sure in zip(
                part.column("id"), part.column("line"), part.texts, targets, answers, confidence[worst], strict=True)]


def _cut(text: str) -> str:
    text = redact(text)
    return text if len(text) <= LENGTH else text[:LENGTH - 1].rstrip() + "…"
