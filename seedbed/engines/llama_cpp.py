"""A GGUF file that writes, run by llama.cpp."""

from __future__ import annotations

from pathlib import Path

from ..settings import settings
from .exported_author import ExportedAuthor
from .llama_adapter import LlamaAdapted
from .llama_library import LlamaFile

MOST = 4096
"""Tokens of a context at most: its cache is in memory whole, whatever is asked."""


class GgufWriter(ExportedAuthor):
    """Writes as `Writer` does, with the same prompts and the same draw; llama.cpp computes.

    Args:
        file: the GGUF file.
        model: folder of the model that it was made from, for its tokenizer and template.
        adapter: a GGUF file of its own, that is put on.
    """

    def __init__(self, file: Path, model: Path, adapter: Path | None = None) -> None:
        super().__init__(model, MOST)
        threads = settings().threads
        self.runtime = LlamaAdapted(file, adapter, self.max_tokens, threads) if adapter else LlamaFile(
            file, self.max_tokens, threads)
