"""Does serving render what training shows? A difference makes a tuned model answer otherwise than it learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.turns import Conversation
from .template import Template

LOOKED_AT = 50
"""Conversations that are looked at: a template treats all alike."""


def ends(tokenizer: Any, generation: Any) -> set[int]:
    """Tokens at which serving stops: those of the generation settings and the tokenizer's own end.

    Args:
        generation: what transformers calls the generation config; None when the model has none.
    """
    said = getattr(generation, "eos_token_id", None)
    return {one for one in (*(said if isinstance(said, list) else [said]), tokenizer.eos_token_id) if one is not None}


def ends_of(folder: Path, tokenizer: Any) -> set[int]:
    """`ends` of a model folder."""
    from transformers import GenerationConfig
    there = (folder / "generation_config.json").is_file()
    return ends(tokenizer, GenerationConfig.from_pretrained(folder, local_files_only=True) if there else None)


def diagnose(template: Template, some: Sequence[Conversation], stops: set[int]) -> list[str]:
    """What would make the tuned model answer otherwise than it learned, each as one sentence; empty when all is well.

    Args:
        some: conversations that `template.row` takes.
        stops: tokens at which serving ends (`ends_of`).
    """
    found = dict[str, str]()
    for one in [c for c in some if c.messages][:LOOKED_AT]:
        row = template.row(one)
        at = max((i for i, on in enumerate(row.learned) if on), default=None)
        if not row.cut and at is not None and row.ids[at] not in stops:
            found.setdefault("end", "The assistant's turns do not end with a token at which serving stops, so the "
                                    "tuned model would not learn to stop: check eos_token of the tokenizer.")
        if not template.chats:
            continue
        text, spans = template.written(one)
        last = max(i for i, turn in enumerate(one.messages) if turn["role"] == "assistant")
        opening, shown = template.prompt(one.messages[:last], one.tools), text[: spans[-1][0]]
        if opening != shown:
            same = next((i for i, (a, b) in enumerate(zip(opening, shown, strict=False)) if a != b),
                        min(len(opening), len(shown)))
            found.setdefault("opening", f"Serving opens an answer with {opening[same:]!r} where training shows "
                                        f"{shown[same:]!r}: the template treats the two differently.")
        names = [str(tool.get("function", tool).get("name", "")) for tool in one.tools]
        if names and not any(name and name in text for name in names):
            found.setdefault("tools", "The template does not write the tools, so the model cannot learn when to call "
                                      "them.")
    return list(found.values())
