"""What compression found: `compression.json` in the folder that it wrote, and what the command line shows."""

from __future__ import annotations

from typing import Any

from ..evaluate.figures import Figure
from ..records import Record

RESULT = "compression.json"


class Step(Record):
    """One thing that was taken away.

    Args:
        how: a word of `--how`.
        said: one sentence for people.
        before, after: how many there were, and are.
        parameters: of the whole model afterwards.
        kept: which stayed: ids of tokens, numbers of layers, or of the heads (of the width) of each layer.
    """

    how: str
    said: str
    before: int
    after: int
    parameters: int
    kept: list[Any]


class Compressed(Record):
    """A smaller model, and what it costs."""

    format: int = 1
    created: str
    model: str
    """What was compressed, as it was named."""
    kind: str
    """`writer`, `classifier` or `encoder`."""
    texts: str
    config: dict[str, Any]
    steps: list[Step]
    parameters: dict[str, int]
    """`before` and `after`."""
    size: dict[str, int]
    """Bytes of the folder, `before` and `after`."""
    rows: dict[str, int]
    """Texts: `calibration`, those that decided what stays, and `judged`, none of which is among them."""
    figures: list[Figure]
    """Of the judged texts, before and after; the first one leads."""
    notes: list[str]
    seconds: float
