"""A GGUF file and a LoRA adapter in a file of its own, put on and taken off by llama.cpp."""

from __future__ import annotations

import ctypes as c
from pathlib import Path

from ..errors import CorruptFile
from .llama_library import LlamaFile


class LlamaAdapted(LlamaFile):
    """A base with its adapter on.

    Args:
        file: the base.
        adapter: made for it.
        context, threads: as `LlamaFile` takes them.

    Raises:
        MissingExtra: xllamacpp is not installed. CorruptFile: llama.cpp does not open one of the files.
    """

    def __init__(self, file: Path, adapter: Path, context: int, threads: int) -> None:
        super().__init__(file, context, threads)
        self._adapter = self._code.llama_adapter_lora_init(self._model, str(adapter).encode())
        if not self._adapter:
            self.close()
            raise CorruptFile(f"llama.cpp cannot put {adapter} on {file.name}.", "Export it again.")
        self.switch(True)

    def switch(self, on: bool) -> None:
        """Put the adapter on, or take it off. What was read before was read with other weights, and is forgotten."""
        self.forget()
        self._code.llama_set_adapters_lora(self._context, (c.c_void_p * 1)(self._adapter), int(on),
                                           (c.c_float * 1)(1.0))
