"""An exported form that writes: its runtime gives the logits, the rest is the reference's own code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from ..models.doctor import ends_of
from ..models.reach import context_of
from .author import Author
from .sampling import Sampling
from .writer import draw


class ExportedAuthor(Author):
    """Writes as `Writer` does, with the same prompts and the same draw; `runtime` computes.

    Args:
        model: folder of the model that the form was made from, for its tokenizer and template.
        most: tokens of a context, where the form takes no more.
    """

    def __init__(self, model: Path, most: int | None = None) -> None:
        from transformers import AutoConfig, AutoTokenizer

        config = AutoConfig.from_pretrained(model, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        trained = context_of(config)
        super().__init__(tokenizer, config, ends_of(model, tokenizer), min(most or trained, trained))

    def _tokens(self, ids: list[int], sampling: Sampling, most: int) -> Iterator[int]:
        generator = torch.Generator().manual_seed(sampling.seed)
        for _ in range(most):
            token = draw(torch.from_numpy(self.runtime.logits(ids)[0]), sampling, generator)
            if token in self.ends:
                return
            yield token
            ids = [*ids, token]
