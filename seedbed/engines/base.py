"""The protocol that every engine answers to, and the one door that opens a saved model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import CorruptFile, NotFound
from ..plugins import Registry
from ..tasks.classify import Floats

if TYPE_CHECKING:
    from ..models.backbone import Backbone

KIND_FILE = "engine.json"
LABELS, VECTOR, TAGS = "labels", "vector", "tags"
"""What a model that reads gives: scores of labels or a vector for a text, or scores of tags for each token."""


@runtime_checkable
class Classifier(Protocol):
    """A model that scores labels. It holds no labels: the task object beside it does."""

    kind: str

    def logits(self, texts: Sequence[str]) -> Floats:
        """Scores before softmax (or sigmoid), [texts, labels], in the order of `texts`."""

    def save(self, folder: Path) -> None:
        """Write all that `load` needs into an existing empty folder, `engine.json` with the kind among it."""

    @property
    def size(self) -> int:
        """Bytes on disk once saved."""


class Reader(Protocol):
    """A transformer that reads texts, run by torch: what export targets write as one graph.

    Args:
        gives: `LABELS`, `VECTOR` or `TAGS`.
        backbone: body, tokenizer and pooling.
        weight, bias: of the linear head, [numbers, width] and [numbers]; None where it gives the body's vector.
    """

    gives: str
    backbone: Backbone
    weight: Any
    bias: Any


def _constant() -> type[Classifier]:
    from .constant import Constant
    return Constant


def _linear() -> type[Classifier]:
    from .linear import LinearText
    return LinearText


def _transformer() -> type[Classifier]:
    from .transformer import TransformerHead
    return TransformerHead


def _openvino() -> type[Classifier]:
    from .openvino import OpenVino
    return OpenVino


def _onnx() -> type[Classifier]:
    from .onnx import Onnx
    return Onnx


def _litert() -> type[Classifier]:
    from .litert import LiteRt
    return LiteRt


def _executorch() -> type[Classifier]:
    from .executorch import ExecuTorch
    return ExecuTorch


CLASSIFIERS: Registry[type[Classifier]] = Registry("classifiers", {
    "constant": _constant, "linear": _linear, "transformer": _transformer, "openvino": _openvino, "onnx": _onnx,
    "litert": _litert, "executorch": _executorch})


def kind_text(kind: str, **values: object) -> str:
    """What `write_kind` writes, for those that must know its size."""
    return json.dumps({"kind": kind, **values}, indent=1, sort_keys=True)


def write_kind(folder: Path, kind: str, **values: object) -> None:
    """Write `engine.json`: the kind and what else its `load` needs."""
    (folder / KIND_FILE).write_text(kind_text(kind, **values))


def read_kind(folder: Path) -> dict[str, object]:
    """What `write_kind` wrote.

    Raises:
        NotFound, CorruptFile: the file is missing or cannot be read.
    """
    path = folder / KIND_FILE
    if not path.is_file():
        raise NotFound(f"{folder} holds no model: {KIND_FILE} is missing.", "Name the bundle folder of a run.")
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as problem:
        raise CorruptFile(f"{path} cannot be read: {problem}.", "Make the bundle again from its run.") from problem


def load_classifier(folder: Path) -> Classifier:
    """Open what `Classifier.save` wrote, in whichever engine it names."""
    kind = CLASSIFIERS.get(str(read_kind(folder)["kind"]))
    return kind.load(folder)  # type: ignore[attr-defined,no-any-return]
