"""How words are drawn, whatever engine writes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..options import option


@dataclass(frozen=True)
class Sampling:
    """How words are drawn. Flags and docs come from these fields."""

    max_tokens: int = option(256, "Most tokens to write.", minimum=1)
    temperature: float = option(0.0, "0 takes the likeliest token each time; 1 draws as the model says.", minimum=0,
                                maximum=5)
    top_p: float = option(1.0, "Draw from the likeliest tokens that hold this share of the probability.",
                          minimum=0.01, maximum=1)
    stop: tuple[str, ...] = option((), "Texts at which writing ends; they are not written.")
    seed: int = option(0, "Fixes the draw.", minimum=0)
    schema: str = field(default="")
    """A JSON schema, as text, that every answer keeps to; empty for free words. No flag: it is read from a file."""
