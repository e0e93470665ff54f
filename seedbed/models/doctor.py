"""Does serving render what training shows? A difference makes a tuned model answer otherwise than it learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..data.turns import Conversation
from .template import Row, Template, alike, taught

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
        if not row.count and not row.cut:
            found.setdefault("empty", "The template marks nothing of some conversations as the assistant's, so they "
                                      "teach nothing.")
            continue
        if not stops.issuperset(_lasts(row, template.chats)):
            found.setdefault("end", "The assistant's turns do not end with a token at which serving stops, so the "
                                    "tuned model would not learn to stop: check eos_token of the tokenizer.")
        words = "\n".join(turn["content"] for turn in one.messages)
        if mark := next((token for token in template.tokenizer.all_special_tokens if token in words), ""):
            found.setdefault("marks", f"Some turns hold the text {mark!r}, a mark of this model: there it is read as "
                                      "letters, in training and in serving. A mark must come from the template.")
        if template.chats and template.start is None:  # of a source nothing is learned
            for kind, sentence in _rendered(template, one, row):
                found.setdefault(kind, sentence)
    return list(found.values())


def _lasts(row: Row, every: bool) -> list[int]:
    """The last learned token of each turn (or of the last one), but of one that is cut."""
    lasts = [token for token, (now, then) in zip(row.ids, pairwise([*row.learned, bool(row.cut)]), strict=True)
             if now and not then]
    return lasts if every else lasts[-1:]


def _rendered(template: Template, one: Conversation, row: Row) -> Iterator[tuple[str, str]]:
    """What differs in the text of one conversation, by kind."""
    if template.folds and one.messages[0]["role"] == "system":
        yield "system", ("The template takes nothing from the system: its text stands before the first question, in "
                         "training and in serving.")
    text, spans = template.written(one)
    names = [str(tool["function"].get("name")) for tool in one.tools]
    if names and not any(name in text for name in names):
        yield "tools", "The template does not write the tools, so the model cannot learn when to call them."
    thoughts = [turn["reasoning_content"] for turn in one.messages if taught(turn) and "reasoning_content" in turn]
    if thoughts and thoughts[-1].strip() not in text:
        yield "thoughts", "The template does not write reasoning_content, so the model does not learn to reason."
    last = max(at for at, turn in enumerate(one.messages) if taught(turn))
    opening = template.prompt(one.messages[:last], one.tools)
    span = next((span for span in spans if span[0] >= len(opening)), spans[-1] if spans else None)
    if span is None:
        return
    shown, words = text[:span[0]], one.messages[last]["content"].strip()
    if opening != shown:
        same = alike(opening, shown)
        yield "opening", (f"Serving opens an answer with {opening[same:]!r} where training shows {shown[same:]!r}: "
                          "the template treats the two differently.")
        return
    lead = text[slice(*span)].partition(words)[0] if words and words in text[slice(*span)] else ""
    if lead.strip():
        yield "lead", (f"Serving does not write {lead!r}, which stands before the answers in training: the model "
                       "learns to write it, and answers will begin with it.")
    ids = template.ids(one.messages[:last], one.tools)
    if row.ids[:len(ids)] != ids[:len(row.ids)]:
        yield "tokens", (f"Serving ends an opening with {opening[-20:]!r}, which training cuts into other tokens, as "
                         "the answer's first words grow together with it.")
