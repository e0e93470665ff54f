"""The bundle of what `seedbed train` made: its manifest, and the proof that the saved model is the trained one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import QualityFloor
from ..evaluate.figures import TuneResult
from ..tasks.classify import Floats
from .bundle import MODEL
from .manifest import CARD, FORMAT, EngineEntry, Manifest, Parity, files_of
from .writer_reference import logs

LIMITS = {"writer": 0.05, "tagger": 0.05, "embedder": 0.02}
"""How far the saved model may be from the trained one: mean divergence in nats of its next words or tags, largest
difference of a cosine. A merged adapter is rounded to the weights' precision; more than this is another model."""
DESCRIPTIONS = {"writer": "task.json", "tagger": "tagger.json", "embedder": "backbone.json"}
"""By engine, the file of a model's folder that says how it is asked, marks or pools."""


def parity(mine: Floats, saved: Floats, engine: str) -> Parity:
    """Hold what a saved model says against what the trained one said.

    Args:
        mine, saved: [rows, choices] logits of words or tags; cosines of questions and documents for `embedder`.
        engine: a key of `LIMITS`.

    Raises:
        QualityFloor: it is another model.
    """
    if mine.shape != saved.shape:
        raise ValueError(f"the saved model gives {saved.shape} scores where the trained one gives {mine.shape}")
    both = [one if engine == "embedder" else logs(one) for one in (mine, saved)]
    here, there = both if engine == "embedder" else list(map(np.exp, both))
    apart = float(np.abs(here - there).max())
    far = apart if engine == "embedder" else float((here * (both[0] - both[1])).sum(-1).mean())
    same = float((mine.argmax(-1) == saved.argmax(-1)).mean())
    if not far <= LIMITS[engine]:  # not a number is refused as well
        raise QualityFloor(
            f"The saved model answers otherwise than the trained one: it is off by {far:.3g}"
            f"{'' if engine == 'embedder' else ' nats'}, and {1 - same:.0%} of the likeliest choices differ. Nothing "
            "was written.", "This is a defect of the engine, not of your data: report it.")
    return Parity(n=len(mine), max_difference=float(np.abs(mine - saved).max()), max_probability_difference=apart,
                  agreement=same)


def describe(folder: Path, result: TuneResult, card: str, *, engine: str, parity: Parity, base_hash: str | None,
             adapter: Path) -> None:
    """Write card and manifest beside the model of a bundle that is being made.

    Args:
        folder: the bundle, with `model/` in it.
        card: the model card, Markdown.
        engine: kind of the reference engine.
        base_hash: of the base model's files.
        adapter: where PEFT's form of it may lie.
    """
    (folder / CARD).write_text(card, encoding="utf-8")
    weights = adapter / "adapter_model.safetensors"
    added = files_of(adapter.parent, adapter.name) if weights.is_file() else []
    Manifest(
        format=FORMAT, seedbed=__version__, name=result.run, created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=_task(folder / MODEL / DESCRIPTIONS[engine], result.task), base_model=result.model, base_hash=base_hash,
        adapter_hash=next((one.sha256 for one in added if one.path.endswith(weights.name)), None),
        data_hash=result.data_hash, scores={one.name: one.after for one in result.figures}, temperature=1.0,
        licences=result.licences,
        engines=[EngineEntry(kind=engine, folder=MODEL, files=files_of(folder, MODEL), parity=parity)]).write(folder)


def _task(file: Path, name: str) -> dict[str, Any]:
    values = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: value for name, value in values.items() if name not in ("format", "head")} | {"task": name}
