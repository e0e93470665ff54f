"""LiteRT (once TensorFlow Lite) runs the model.

Its file holds a graph for each of a few lengths, which share their weights: a text is padded to the next one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..settings import settings
from ..tasks.classify import Floats
from .base import TAGS
from .exported import Exported, Ids, muted

MODEL = "model.tflite"
SHORTEST = 32
"""Tokens of the shortest graph."""


def graph_name(tokens: int) -> str:
    """What the graph of a length is called in the file; the runner of `--edge` knows it too."""
    return f"tokens_{tokens}"


def lengths(most: int) -> list[int]:
    """Those that a file has graphs for, each twice the one before: at most half of what is computed is padding."""
    found, length = list[int](), SHORTEST
    while length < most:
        found.append(length)
        length *= 2
    return [*found, most]


class LiteRt(Exported):
    """`model.tflite`. Rows are answered one by one, since a graph takes one row."""

    kind, package = "litert", "ai_edge_litert"

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        from ai_edge_litert.interpreter import Interpreter

        super().__init__(folder, values)
        self._interpreter = Interpreter(str(folder / MODEL), num_threads=settings().threads)
        self._graphs = {length: self._interpreter.get_signature_runner(graph_name(length))
                        for length in lengths(self.max_tokens)}
        with muted():  # the first pass tells of its kernels
            self.run(np.full((1, 1), self.empty, np.int64), np.ones((1, 1), np.int64))

    def run(self, ids: Ids, mask: Ids) -> Floats:
        """[rows, tokens], [rows, tokens] -> [rows, labels], or [rows, tokens, tags]"""
        return np.concatenate([self._row(*row) for row in zip(ids, mask, strict=True)])

    def _row(self, ids: Ids, mask: Ids) -> Floats:
        """[tokens], [tokens] -> [1, labels], or [1, tokens, tags]. What the row is padded with goes, and what its
        graph asks for comes."""
        tokens = int(np.flatnonzero(mask)[-1]) + 1
        length = next((one for one in self._graphs if one >= tokens), tokens)
        if length not in self._graphs:
            raise ValueError(f"{tokens} tokens, and the longest graph takes {self.max_tokens}")
        wide = np.full((2, 1, length), self.pad, np.int32)
        wide[1] = 0
        wide[:, 0, :tokens] = ids[:tokens], mask[:tokens]
        [scores] = self._graphs[length](ids=wide[0], mask=wide[1]).values()
        if self.gives == TAGS:
            out = np.zeros((1, len(ids), self.labels), np.float32)
            out[:, :tokens] = scores[:, :tokens]
            return out
        return np.asarray(scores, np.float32)
