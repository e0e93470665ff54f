"""Small tables of texts, and a ladder whose models are tiny, so that every kind of candidate trains in seconds."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml

from seedbed.settings import settings
from seedbed.train import ladder
from seedbed.train.config import TrainConfig

Table = Callable[..., Path]
"""Writes a table of so many rows."""
SEEDBED = [sys.executable, "-m", "seedbed"]
QUICK = TrainConfig(epochs=3, train_layers=2, rank=4, batch_texts=32, checkpoint_seconds=0)
TIMES = {"created", "seconds", "predicted_seconds", "speed", "energy", "peak_memory", "run", "command", "runtime"}
"""What differs between two runs of the same thing; `runtime` says how fast this machine was just then."""

SHAPES = {"tiny-bert": ("bert", {"model_class": "BertModel", "family": "bert", "positions": 128, "kv_heads": 4}),
          "tiny-llama": ("llama", {"model_class": "LlamaForCausalLM", "family": "llama", "kv_heads": 2}),
          "tiny-t5": ("flan_t5", {"model_class": "T5ForConditionalGeneration", "family": "t5", "kv_heads": 4,
                                  "decoder_layers": tiny.LAYERS - 1, "tied_embeddings": False})}


def card(name: str, folder: Path) -> str:
    """A model card whose source is a folder on this machine."""
    _, more = SHAPES[name]
    shape = {"layers": tiny.LAYERS, "hidden": 32, "intermediate": 64, "heads": 4, "head_dim": 8, "vocabulary": 320,
             "tied_embeddings": True, **more}
    return yaml.safe_dump({
        "id": name, "title": name.title(), "licence": "Apache-2.0", "commercial": True, "languages": ["en"],
        "context": 128, "architecture": shape, "tasks": ["classify"], "good_for": "tests", "bad_for": "all else",
        "sources": [{"address": f"folder:{folder}", "format": "safetensors", "stored": "fp32"}]})


def make_cards(home: Path) -> None:
    (home / "cards").mkdir(parents=True, exist_ok=True)
    for name, (family, _) in SHAPES.items():
        (home / "cards" / f"{name}.yaml").write_text(card(name, tiny.model(family)))


def use_tiny(patch: pytest.MonkeyPatch, home: Path, models: Path) -> None:
    """Make the tiny models the ladder's own, in this process; children see their cards."""
    make_cards(home)
    patch.setenv("SEEDBED_HOME", str(home))
    patch.setenv("SEEDBED_MODELS", str(models))
    settings.cache_clear()
    names = {ladder.ENCODER: "tiny-bert", ladder.GENERATOR: "tiny-llama"}
    patch.setattr(ladder, "RUNGS", tuple(
        replace(rung, base=names[rung.base]) if rung.base else rung for rung in ladder.RUNGS))
    patch.setattr(ladder, "ENCODER", "tiny-bert")
    patch.setattr(ladder, "GENERATOR", "tiny-llama")


def table(path: Path, rows: int, *, kinds: int = 2, noise: float = 0.1, seed: int = 0, header: bool = True,
          more: dict[str, Sequence[object]] | None = None) -> Path:
    """A CSV of texts that a word decides, some labels wrong; `more` gives further columns."""
    chance = random.Random(seed + 1)
    texts, labels = tiny.sentences(rows, seed, kinds)
    known = sorted(set(labels))
    labels = [chance.choice(known) if chance.random() < noise else label for label in labels]
    columns = {"text": texts, "label": labels, **(more or {})}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        if header:
            writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def lasting(values: Any) -> Any:
    """A result without what time and place change in it."""
    if isinstance(values, dict):
        return {name: lasting(value) for name, value in values.items() if name not in TIMES}
    return [lasting(one) for one in values] if isinstance(values, list) else values
