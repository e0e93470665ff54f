"""How far a model looks: the tokens that it reads, and the window through which some look back."""

from __future__ import annotations

from typing import Any

from .paired import is_paired

UNBOUND = 1 << 30
"""Tokens that a model takes which knows no positions, only distances (T5): as many as there is memory for."""
UNSAID = 512
"""The same of one whose config names no limit (BLOOM)."""


def context_of(config: Any) -> int:
    """Tokens that a model of this config reads at most."""
    return int(getattr(config, "max_position_embeddings", 0) or (UNBOUND if is_paired(config) else UNSAID))


def window_of(config: Any) -> int | None:
    """Tokens that layers of a model look back, itself included; None where all see all of a text."""
    window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
    if not window or window >= context_of(config) or not getattr(config, "use_sliding_window", True):
        return None
    return int(window) if not kinds or "sliding_attention" in kinds else None


def windows_of(config: Any) -> list[int]:
    """How far each layer looks back; 0 where it sees all of a text."""
    window, count = window_of(config) or 0, int(config.num_hidden_layers)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * count
    return [window if kind == "sliding_attention" else 0 for kind in kinds]
