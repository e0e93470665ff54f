"""Export targets of models that write: each writes one runtime's files, opens them, and knows what it cannot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...data.turns import Turn
from ...engines.exported import TOKENIZER
from ...errors import UserError
from ...models.paired import holds_paired
from ...models.reach import window_of
from ...plugins import Registry
from ...tasks.classify import Floats
from . import Named

if TYPE_CHECKING:
    from ...engines.author import Author
    from ..writer_certificate import Runtime
    from ..writer_reference import Reference


READ = 1024
"""Tokens that a runtime reads at most to prove what was written; more where a window is longer."""


@dataclass(frozen=True)
class Opened:
    """An exported form that runs.

    Args:
        runtime: gives its logits and tokens.
        render: its own rendering of a conversation; None where it has no template.
        write: the likeliest tokens after some others, so many at most, as what people run it with writes them; None
            where that is the runtime itself.
        windows: how many tokens each layer looks back to, as it runs; None where it takes no model that has such.
        start: of an encoder-decoder, the token that its decoder begins with.
        padded: likewise, its logits where so many tokens of padding stand behind the source.
        switch: puts an adapter that lies apart on, or takes it off.
    """

    runtime: Runtime
    render: Callable[[Sequence[Turn]], str] | None = None
    write: Callable[[Sequence[int], int], list[int]] | None = None
    windows: Callable[[], list[int]] | None = None
    start: int | None = None
    padded: Callable[[Sequence[int], int, int], Floats] | None = None
    switch: Callable[[bool], None] | None = None


class WriterTarget(Named, Protocol):
    """A runtime of models that write."""

    def refuse(self, model: Path, precision: str) -> None:
        """Raises UserError for a model folder that is known to come out wrong, naming what to do."""

    def write(self, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
              reference: Reference | None = None) -> None:
        """Write the runtime's files into an existing empty folder.

        Args:
            facts: of the bundle, for the files' own metadata: `name`, `licence`, and hashes.
            reference: the model, opened, with rows that it has learned from: where bits are few, they are spent
                where these rows need them.
        """

    def opened(self, folder: Path, model: Path) -> AbstractContextManager[Opened]:
        """Open what was written, to prove it.

        Raises:
            CorruptFile: the runtime does not open it.
        """

    def author(self, folder: Path, model: Path) -> Author:
        """Open what was written, to answer with it."""


def most_read(model: Path) -> int:
    """Tokens that a form of this model folder must be able to read, to be proven."""
    from transformers import AutoConfig

    return READ + (window_of(AutoConfig.from_pretrained(model, local_files_only=True)) or 0)


def refuse(model: Path, target: str, families: Collection[str], hint: str, otherwise: str = "",
           windowed: Collection[str] = (), file: str = TOKENIZER) -> Any:
    """What every target of models that write refuses; the config of a model that none of it holds for.

    Args:
        model: folder of the reference.
        target: how people call the runtime.
        families: that were tried.
        hint: what to do instead.
        otherwise: what the runtime does with a model that looks back only so far.
        windowed: families with which it does as the model.
        file: that the folder must have; none where it is empty.

    Raises:
        UserError: another family, a sliding window that is shorter than the context, attention to what comes, or a
            tokenizer without `tokenizer.json`.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model, local_files_only=True)
    if config.model_type not in families:
        raise UserError(f"Models of the family {config.model_type} that write are not exported to {target} here.",
                        f"Families that are: {', '.join(families)}. {hint}")
    window = None if config.model_type in windowed else window_of(config)
    if window:
        raise UserError(f"This model looks back {window:,} tokens, and {target} "
                        f"{otherwise or 'writes other words than such models do'}.", hint)
    if getattr(config, "use_bidirectional_attention", False):
        raise UserError(f"This model looks ahead, and {target} does not.", hint)
    if file and not (model / file).is_file():
        raise UserError(f"The tokenizer of this model has no {file}, without which {target} cannot read texts.", hint)
    return config


class Either:
    """A runtime that takes models that go on with a text, and encoder-decoders, each in files of its own kind.

    Args:
        causal, paired: what writes them.
    """

    def __init__(self, causal: WriterTarget, paired: WriterTarget) -> None:
        self.causal, self.paired = causal, paired
        self.name, self.precisions, self.packages = causal.name, causal.precisions, causal.packages

    def of(self, model: Path) -> WriterTarget:
        """What writes the model in a folder."""
        return self.paired if holds_paired(model) else self.causal

    def refuse(self, model: Path, precision: str) -> None:
        self.of(model).refuse(model, precision)

    def write(self, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
              reference: Reference | None = None) -> None:
        self.of(model).write(model, folder, precision, facts, reference)

    def opened(self, folder: Path, model: Path) -> AbstractContextManager[Opened]:
        return self.of(model).opened(folder, model)

    def author(self, folder: Path, model: Path) -> Author:
        return self.of(model).author(folder, model)


def suited(target: WriterTarget, model: Path) -> WriterTarget:
    """What of a target writes the model in a folder: its packages are those that are needed."""
    return target.of(model) if isinstance(target, Either) else target


def _openvino() -> WriterTarget:
    from .openvino_writer import OpenVinoWriterTarget
    from .paired_writer import OpenVinoPairedTarget
    return Either(OpenVinoWriterTarget(), OpenVinoPairedTarget())


def _gguf() -> WriterTarget:
    from .gguf import GgufTarget
    return GgufTarget()


def _gguf_lora() -> WriterTarget:
    from .gguf_lora import GgufLoraTarget
    return GgufLoraTarget()


def _onnx() -> WriterTarget:
    from .onnx_writer import OnnxWriterTarget
    from .paired_writer import OnnxPairedTarget
    return Either(OnnxWriterTarget(), OnnxPairedTarget())


def _executorch() -> WriterTarget:
    from .executorch_writer import ExecuTorchWriterTarget
    return ExecuTorchWriterTarget()


def _litert() -> WriterTarget:
    from .litert_writer import LiteRtWriterTarget
    return LiteRtWriterTarget()


WRITERS: Registry[WriterTarget] = Registry("writer-targets", {
    "gguf": _gguf, "gguf_lora": _gguf_lora, "openvino": _openvino, "onnx": _onnx, "executorch": _executorch,
    "litert": _litert})
"""By name; other packages add theirs in the entry-point group `seedbed.writer-targets`."""
