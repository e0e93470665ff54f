"""An exported form that writes: its runtime gives the logits, the rest is the reference's own code."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from .author import Author
from .sampling import Sampling
from .writer import draw


class ExportedAuthor(Author):
    """Writes as `Writer` does, with the same prompts and the same draw; `runtime` computes."""

    def _tokens(self, ids: list[int], sampling: Sampling, most: int) -> Iterator[int]:
        generator = torch.Generator().manual_seed(sampling.seed)
        for _ in range(most):
            token = draw(torch.from_numpy(self.runtime.logits(ids)[0]), sampling, generator)
            if token in self.ends:
                return
            yield token
            ids = [*ids, token]
