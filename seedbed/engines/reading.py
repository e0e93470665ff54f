"""What a runtime with a cache has read already."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UserError


def shared(ids: Sequence[int], read: Sequence[int]) -> int:
    """How many tokens at the beginning are those that were read."""
    return next((at for at, (one, other) in enumerate(zip(ids, read, strict=False)) if one != other),
                min(len(ids), len(read)))


def fit(ids: Sequence[int], room: int) -> None:
    """Raises UserError where an exported file has no room for so many tokens."""
    if len(ids) > room:
        raise UserError(f"The text has {len(ids):,} tokens, and the file was exported with room for {room:,}.",
                        "Shorten it, or answer with the model itself: --engine reference")
