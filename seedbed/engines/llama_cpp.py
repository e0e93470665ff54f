"""A GGUF file that writes, run by llama.cpp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from ..models.doctor import ends_of
from ..settings import settings
from .author import Author
from .llama_library import LlamaFile
from .sampling import Sampling
from .writer import draw

MOST = 4096
"""Tokens of a context at most: its cache is in memory whole, whatever is asked."""


class GgufWriter(Author):
    """Writes as `Writer` does, with the same prompts and the same draw; llama.cpp computes.

    Args:
        file: the GGUF file.
        model: folder of the model that it was made from, for its tokenizer and template.
    """

    def __init__(self, file: Path, model: Path) -> None:
        from transformers import AutoConfig, AutoTokenizer

        config = AutoConfig.from_pretrained(model, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        most = min(MOST, config.max_position_embeddings)
        super().__init__(tokenizer, config, ends_of(model, tokenizer), most)
        self.runtime = LlamaFile(file, most, settings().threads)

    def _tokens(self, ids: list[int], sampling: Sampling, most: int) -> Iterator[int]:
        generator = torch.Generator().manual_seed(sampling.seed)
        for _ in range(most):
            token = draw(torch.from_numpy(self.runtime.logits(ids)[0]), sampling, generator)
            if token in self.ends:
                return
            yield token
            ids = [*ids, token]
