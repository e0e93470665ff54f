"""Classification: one label of several, or any number of them (multi-label)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Floats = NDArray[np.float32]
"""[rows, labels]: logits or probabilities."""


@dataclass(frozen=True)
class Classify:
    """What the answer may be, and how answers are scored.

    Args:
        labels: every label, sorted; the position is the class index everywhere.
        multi_label: a text may carry any number of labels, each decided on its own.
        metric: the figure that chooses between candidates: `macro_f1`, `accuracy` or `micro_f1`.
    """

    labels: tuple[str, ...]
    multi_label: bool = False
    metric: str = "macro_f1"

    name = "classify"

    @classmethod
    def from_targets(cls, targets: Sequence[Any], metric: str | None = None) -> Classify:
        """The task that these targets describe: lists mean multi-label.

        Macro-F1 is the default metric because it counts a rare class as much as a common one; accuracy would
        reward a model that ignores the rare ones.

        Raises:
            DataError: no labels at all, or only one class.
        """
        multi = any(isinstance(t, list | tuple) for t in targets)
        counts = Counter(label for t in targets if t is not None for label in (t if multi else [t]))
        if not counts:
            raise DataError("No row has a label.", "Name the label column with --label.")
        if len(counts) == 1:
            raise DataError(f"Every labelled row has the same label, {next(iter(counts))!r}.",
                            "Add rows with other labels: with one class there is nothing to learn.")
        return cls(tuple(sorted(counts)), multi, metric or "macro_f1")

    def encode(self, targets: Sequence[Any]) -> NDArray[np.int64]:
        """Targets as class indices [rows], or as 0/1 [rows, labels] for multi-label.

        Raises:
            DataError: a label that the task does not have.
        """
        place = {label: i for i, label in enumerate(self.labels)}
        try:
            if not self.multi_label:
                return np.array([place[t] for t in targets], np.int64)
            out = np.zeros((len(targets), len(self.labels)), np.int64)
            for row, labels in enumerate(targets):
                out[row, [place[label] for label in labels]] = 1
            return out
        except KeyError as missing:
            raise DataError(f"The label {missing.args[0]!r} is not one of the task's labels.",
                            f"Known: {', '.join(self.labels[:20])}.") from None

    def probabilities(self, logits: Floats, temperature: float = 1.0) -> Floats:
        """Softmax over labels, or a sigmoid per label for multi-label. [rows, labels] -> [rows, labels]"""
        scaled = np.asarray(logits, np.float64) / temperature
        if self.multi_label:
            return (1 / (1 + np.exp(-np.clip(scaled, -60, 60)))).astype(np.float32)
        scaled -= scaled.max(axis=1, keepdims=True)
        exponent = np.exp(scaled)
        return np.asarray(exponent / exponent.sum(axis=1, keepdims=True), np.float32)

    def decide(self, probabilities: Floats) -> NDArray[np.int64]:
        """Decisions in the shape of `encode`: the likeliest label, or every label at 0.5 and above."""
        if self.multi_label:
            return (probabilities >= 0.5).astype(np.int64)
        return np.asarray(probabilities.argmax(axis=1), np.int64)

    def confidence(self, probabilities: Floats) -> Floats:
        """[rows]: probability of the decision; for multi-label that of the least sure of its labels."""
        sure = np.maximum(probabilities, 1 - probabilities).min(1) if self.multi_label else probabilities.max(1)
        return np.asarray(sure, np.float32)

    def words(self, decisions: NDArray[np.int64]) -> list[Any]:
        """Decisions as labels: str, or a list of str for multi-label."""
        if self.multi_label:
            return [[self.labels[i] for i in np.flatnonzero(row)] for row in decisions]
        return [self.labels[i] for i in decisions]

    def to_dict(self) -> dict[str, Any]:
        return {"task": self.name, "labels": list(self.labels), "multi_label": self.multi_label,
                "metric": self.metric}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Classify:
        return cls(tuple(values["labels"]), bool(values["multi_label"]), str(values["metric"]))
