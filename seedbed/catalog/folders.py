"""A model folder of the user's own as a card: its shape is read from its config.json, nothing is copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from ..errors import CorruptFile
from .architecture import Architecture, Family
from .cards import Card

PLACES = ("", "bundle/model", "model", "bundle/model/body", "model/body")
"""Where the model of a folder is: it is one itself, or a run or a bundle of `seedbed train`, or of `seedbed run`."""
FAMILIES: dict[str, Family] = {**{name: name for name in get_args(Family)}, "gemma3_text": "gemma3"}
"""By the model type of a config."""


class FolderCard(Card):
    """A model that is on this machine and has no card. Its id is its path."""

    id: str
    folder: Path
    """The model's files."""


def folder_card(place: Path) -> FolderCard | None:
    """The card of a model folder, a run or a bundle; None where it holds no model.

    Raises:
        CorruptFile: its config.json cannot be read.
    """
    folder = next((place / inner for inner in PLACES if _holds(place / inner)), None)
    if folder is None:
        return None
    values = _read(folder / "config.json") if (folder / "config.json").is_file() else {}
    shape, header = _shape(values), _header(folder)
    reads = shape is not None and not shape.generates
    return FolderCard(
        id=str(place.absolute()), title=place.absolute().name, folder=folder, licence=header.get("license"),
        commercial=None, languages=[], context=values.get("max_position_embeddings"), architecture=shape,
        tasks=["classify", "embed"] if reads else ["classify", "chat", "complete"],
        good_for="What it was trained for.", bad_for="Not known.")


def _holds(folder: Path) -> bool:
    return folder.is_dir() and ((folder / "config.json").is_file() or any(folder.glob("*.gguf")))


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise CorruptFile(f"{path} cannot be read: {problem}.", "Copy the model's folder again.") from None
    if not isinstance(values, dict):
        raise CorruptFile(f"{path} holds no object.", "Copy the model's folder again.")
    return values


def _shape(values: dict[str, Any]) -> Architecture | None:
    """The figures of a config; None for a family that is not known, whose memory is not foretold."""
    family = FAMILIES.get(str(values.get("model_type")))
    if family is None:
        return None
    def said(*names: str) -> Any:
        return next((values[name] for name in names if values.get(name) is not None), None)

    hidden, heads = said("hidden_size", "d_model"), said("num_attention_heads", "num_heads")
    kinds = values.get("layer_types") or []
    whole = [at + 1 for at, kind in enumerate(kinds) if kind == "full_attention"]
    windowed = values.get("use_sliding_window", True) and len(whole) < len(kinds or [""])
    try:
        return Architecture(
            model_class=str((values.get("architectures") or ["AutoModel"])[0]), family=family,
            layers=said("num_hidden_layers", "num_layers"),
            decoder_layers=said("num_decoder_layers", "num_layers") if family == "t5" else 0,
            hidden=hidden, intermediate=said("intermediate_size", "d_ff"), heads=heads,
            kv_heads=said("num_key_value_heads") or heads, head_dim=said("head_dim", "d_kv") or hidden // heads,
            vocabulary=said("vocab_size"), tied_embeddings=bool(values.get("tie_word_embeddings", True)),
            positions=values.get("max_position_embeddings", 0) if family == "bert" else 0,
            sliding_window=values.get("sliding_window") if windowed else None,
            full_attention_every=whole[0] if windowed and whole else None)
    except (ValidationError, TypeError, ZeroDivisionError):
        return None


def _header(folder: Path) -> dict[str, Any]:
    """What the folder's README.md says at its head, as the hub has it."""
    path = folder / "README.md"
    parts = path.read_text(encoding="utf-8", errors="replace").split("---\n", 2) if path.is_file() else []
    try:
        values = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except yaml.YAMLError:
        return {}
    return {name: str(value) for name, value in values.items() if value} if isinstance(values, dict) else {}
