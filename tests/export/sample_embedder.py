"""A bundle of a tiny model that embeds, as `seedbed train --task embed` leaves it, for what is exported."""

from __future__ import annotations

import json
from pathlib import Path

import tiny

from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.manifest import FORMAT, EngineEntry, Manifest, files_of
from seedbed.models.backbone import DESCRIPTION, Backbone
from seedbed.models.folder import write_pooling


def made(folder: Path, family: str = "bert", max_tokens: int = 24, pooling: str | None = None) -> Bundle:
    """A bundle of it in `folder`."""
    backbone = Backbone.open(tiny.model(family), max_tokens=max_tokens, pooling=pooling)
    backbone.normalized = True
    if backbone.tokenizer.pad_token is None:
        backbone.tokenizer.pad_token = backbone.tokenizer.eos_token
    backbone.save(folder / "model")
    write_pooling(folder / "model", backbone.pooling, True, max_tokens, backbone.width)
    task = {**json.loads((folder / "model" / DESCRIPTION).read_text()), "task": "embed"}
    Manifest(format=FORMAT, seedbed="0.1.0", name="search", created="2026-11-30T00:00:00+00:00", task=task,
             data_hash="ab" * 32, scores={}, licences={}, engines=[
                 EngineEntry(kind="embedder", folder="model", files=files_of(folder, "model"))]).write(folder)
    return open_bundle(folder)
