"""The answer that never looks at the text: the baseline that every candidate must beat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..errors import CorruptFile
from ..tasks.classify import Floats
from .base import KIND_FILE, kind_text, read_kind, write_kind


class Constant:
    """The same scores for every text.

    Args:
        logits: [labels]; for the majority baseline the logarithm of each label's share.
    """

    kind = "constant"

    def __init__(self, logits: ArrayLike) -> None:
        self._logits = np.asarray(logits, np.float32)
        if self._logits.ndim != 1 or not len(self._logits) or not np.isfinite(self._logits).all():
            raise ValueError("logits must be one row of finite numbers, one a label")

    def logits(self, texts: Sequence[str]) -> Floats:
        """[texts, labels]"""
        return np.tile(self._logits, (len(texts), 1))

    def save(self, folder: Path) -> None:
        """Write `engine.json`, which holds everything."""
        write_kind(folder, self.kind, logits=self._logits.tolist())

    @classmethod
    def load(cls, folder: Path) -> Constant:
        """Open what `save` wrote.

        Raises:
            NotFound, CorruptFile: the file is missing or holds no scores.
        """
        try:
            return cls(read_kind(folder)["logits"])  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as problem:
            raise CorruptFile(f"{folder / KIND_FILE} holds no scores: {problem}.",
                              "Make the bundle again from its run.") from problem

    @property
    def size(self) -> int:
        return len(kind_text(self.kind, logits=self._logits.tolist()))
