"""A GGUF file that writes, run by llama.cpp."""

from __future__ import annotations

from pathlib import Path

from ..models.doctor import ends_of
from ..settings import settings
from .exported_author import ExportedAuthor
from .llama_library import LlamaFile

MOST = 4096
"""Tokens of a context at most: its cache is in memory whole, whatever is asked."""


class GgufWriter(ExportedAuthor):
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
