"""An exported form that writes: its runtime gives the logits, the rest is the reference's own code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..models.backbone import context_of
from ..models.doctor import ends_of
from ..models.paired import Paired, followed, is_paired
from .author import Author


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
        self.paired = is_paired(config)
        super().__init__(tokenizer, config, ends_of(model, tokenizer), min(most or trained, trained))

    def _begin(self, ids: list[int]) -> tuple[Callable[[list[int]], Tensor], list[int]]:
        start = self.template.start
        whole, first = ([], list(ids)) if start is None else (Paired(ids, []), [start])

        def read(new: list[int]) -> Tensor:
            nonlocal whole
            whole = followed(whole, new)
            return torch.from_numpy(self.runtime.logits(whole)[0])
        return read, first
