"""Export targets: each writes a model as the file of one runtime, and knows what it cannot write."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from ...errors import MissingExtra, UserError
from ...plugins import Registry

if TYPE_CHECKING:
    from ...engines.base import Classifier, Reader


class Named(Protocol):
    """One runtime. The name is also that of the engine and of the extra."""

    name: str
    precisions: tuple[str, ...]
    """Of the weights; the first is the default."""
    packages: tuple[str, ...]
    """What must be installed to export."""


T = TypeVar("T", bound=Named)
APART = {"litert": ("litert-torch==0.9.4", "litert-converter==0.4.0", "xdsl==0.28.0")}
"""What a target needs beside its extra, installed without its dependencies: the first two declare the last, which
wants an older typing-extensions than pydantic does, and works with the newer one."""
EXTRAS = {"gguf_lora": "gguf"}
"""Targets that come with an extra of another name."""

THERE = {"safetensors": "the folder model/ of the bundle is the merged model as transformers opens it",
         "peft": "the folder adapter/ of a run that trained one is the adapter as PEFT opens it"}
"""Forms that people name and that are there without an export."""

WHEELS = {"litert_lm": "litert-lm-api"}
"""Packages whose wheel has another name."""


RISK = ("fp32", "f16", "bf16", "q8_0", "int8", "q4_k_m", "int4")
"""Precisions in the order in which they are tested: each is a larger risk than the one before."""


class Target(Named, Protocol):
    """A runtime of models that read: that score labels, embed texts, or mark entities."""

    def refuse(self, model: Classifier | Reader, precision: str) -> None:
        """Raises UserError for a model that is known to come out wrong, naming what to do."""

    def write(self, model: Reader, folder: Path, precision: str) -> None:
        """Write the runtime's file, `tokenizer.json` and `engine.json` into an existing empty folder."""


def _openvino() -> Target:
    from .openvino import OpenVinoTarget
    return OpenVinoTarget()


def _onnx() -> Target:
    from .onnx import OnnxTarget
    return OnnxTarget()


def _litert() -> Target:
    from .litert import LiteRtTarget
    return LiteRtTarget()


def _executorch() -> Target:
    from .executorch import ExecuTorchTarget
    return ExecuTorchTarget()


TARGETS: Registry[Target] = Registry("targets", {
    "openvino": _openvino, "onnx": _onnx, "litert": _litert, "executorch": _executorch})
"""Of models that read."""


def asked(words: Sequence[str], targets: Registry[T]) -> list[tuple[T, str]]:
    """What `--to` names: `openvino`, `openvino:int4` or `openvino-int4`, each once.

    Raises:
        UserError: a target or precision that is not known.
    """
    out: dict[tuple[str, str], T] = {}
    for word in words:
        name, _, precision = word.strip().lower().replace(":", "-").partition("-")
        if name in THERE:
            raise UserError(f"{name} needs no export: {THERE[name]}.", "Copy it from there; leave it out of --to.")
        if name not in set(targets):
            raise UserError(f"Models of this kind are not exported to {name!r}.",
                            f"Known: {', '.join(sorted(targets))}.")
        target = targets.get(name)
        precision = precision or target.precisions[0]
        if precision not in target.precisions:
            raise UserError(f"{name} does not write the precision {precision!r}.",
                            f"Known: {', '.join(f'{name}:{one}' for one in target.precisions)}.")
        out[name, precision] = target
    if not out:
        raise UserError("--to names no target.", f"Known: {', '.join(targets)}.")
    return [(target, precision) for (_, precision), target in out.items()]


def risk(precision: str) -> int:
    """Place of a precision among those of `RISK`; one that is not known stands last."""
    return RISK.index(precision) if precision in RISK else len(RISK)


def safer(target: Named, precision: str) -> str | None:
    """The next precision of a target that is less of a risk; None where there is none."""
    return max((one for one in target.precisions if risk(one) < risk(precision)), key=risk, default=None)


def need(target: Named) -> dict[str, str]:
    """Versions of the packages that a target exports with.

    Raises:
        MissingExtra: one is not installed; the hint is the install line.
    """
    for name in target.packages:
        if find_spec(name) is None:
            apart = " ".join(APART.get(target.name, ()))
            raise MissingExtra(f"Export to {target.name}", EXTRAS.get(target.name, target.name),
                               f" && pip install --no-deps {apart}" if apart else "")
    return {name: version(WHEELS.get(name, name)) for name in ("torch", "transformers", *target.packages)}
