"""GGUF in two files: the base, and the adapter that was trained on it. Bases of several tasks are one file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UserError
from ...settings import settings
from ..gguf_adapter import settings_of, write_adapter
from ..modelfile import modelfile
from .gguf import FAMILIES, FILE, MODELFILE, GgufTarget
from .writers import Opened, most_read

if TYPE_CHECKING:
    from ...engines.author import Author
    from ..writer_reference import Reference

BASE, ADAPTER = "base.gguf", "adapter.gguf"
PLAIN = ("llama", "mistral", "qwen2", "gemma3_text", "gemma2")
"""Families whose layers are the same in both worlds, one by one: none is fused or split."""
NONE = ("There is no base and adapter to be written apart.",
        "Export it from the run that trained it: seedbed export RUN --to gguf_lora; or merged: --to gguf")


class GgufLoraTarget(GgufTarget):
    """The base is written without a run's rows, so that it is the same file for every run of that base."""

    name = "gguf_lora"
    apart = True
    """It must know what the model was made of."""

    def refuse(self, model: Path, precision: str) -> None:
        """What would come out wrong.

        Raises:
            UserError: llama.cpp reads the family otherwise, or it is not written here.
        """
        from transformers import AutoConfig

        super().refuse(model, precision)
        kind = AutoConfig.from_pretrained(model, local_files_only=True).model_type
        if kind not in PLAIN:
            raise UserError(f"Adapters of the family {kind} are not written apart: llama.cpp has other layers.",
                            "Export it merged: --to gguf")

    def write(self, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
              reference: Reference | None = None) -> None:
        """Write `base.gguf`, `adapter.gguf` and `Modelfile`.

        Args:
            model: folder of the reference, for its template and the form of its questions.
            folder: exists and is empty.
            facts: of the bundle.
            reference: knows base and adapter.

        Raises:
            UserError: it does not, or the adapter has what llama.cpp's have not.
        """
        from transformers import AutoConfig

        if reference is None or reference.apart is None:
            raise UserError(*NONE)
        base, adapter = reference.apart.model, reference.apart.adapter
        settings_of(adapter)
        config = AutoConfig.from_pretrained(base, local_files_only=True)
        known = {name: facts[name] for name in ("licence", "base_model", "base_hash") if name in facts}
        super().write(base, folder, precision, {"name": known.get("base_model", "base"), **known})
        (folder / FILE).rename(folder / BASE)
        write_adapter(folder / ADAPTER, adapter, FAMILIES[config.model_type], config, facts)
        (folder / MODELFILE).write_text(modelfile(model, BASE, ADAPTER), encoding="utf-8")

    @contextlib.contextmanager
    def opened(self, folder: Path, model: Path) -> Iterator[Opened]:
        """llama.cpp with both files open, and its server's rendering of conversations."""
        from ...engines.llama_adapter import LlamaAdapted
        from ...engines.llama_server import renderer

        with LlamaAdapted(folder / BASE, folder / ADAPTER, most_read(model), settings().threads) as runtime:
            if not runtime.template:
                yield Opened(runtime, switch=runtime.switch)
                return
            with renderer(folder / BASE) as render:
                yield Opened(runtime, render, switch=runtime.switch)

    def author(self, folder: Path, model: Path) -> Author:
        """Writes with both files."""
        from ...engines.llama_cpp import GgufWriter

        return GgufWriter(folder / BASE, model, folder / ADAPTER)
