"""Seedbed: from a file of labelled text to a proven, running small language model.

    import seedbed
    done = seedbed.run("reviews.csv")
    seedbed.load(done.bundle).predict(["The battery died after two days."])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .settings import share_processor

__version__ = "0.1.0"

share_processor()

if TYPE_CHECKING:
    from .compress.config import CompressConfig
    from .export.bundle import open_bundle as load
    from .train.config import TextConfig, TrainConfig
    from .workflow import RunConfig, TuneConfig, finetune, resume, run, shrink

__all__ = ["CompressConfig", "RunConfig", "TextConfig", "TrainConfig", "TuneConfig", "finetune", "load", "resume",
           "run", "shrink"]

_HOMES = {"load": ("export.bundle", "open_bundle"), "run": ("workflow", "run"), "resume": ("workflow", "resume"),
          "finetune": ("workflow", "finetune"), "shrink": ("workflow", "shrink"),
          "CompressConfig": ("compress.config", "CompressConfig"), "RunConfig": ("workflow", "RunConfig"),
          "TuneConfig": ("workflow", "TuneConfig"), "TrainConfig": ("train.config", "TrainConfig"),
          "TextConfig": ("train.config", "TextConfig")}


def __getattr__(name: str) -> Any:
    """The verbs, imported when first used: `import seedbed` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f".{module}", __name__), attribute)
