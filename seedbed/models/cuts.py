"""How byte-level tokenizers cut a text before they merge bytes, by the names that GGUF files have for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LETTERS = r"|[^\r\n\p{L}\p{N}]?\p{L}+"
PATTERNS = {"llama-bpe": CONTRACTIONS + LETTERS + r"|\p{N}{1,3}" + REST,
            "qwen2": CONTRACTIONS + LETTERS + r"|\p{N}" + REST, "bloom": r" ?[^(\s|[.,!?…。，、।۔،])]+"}
"""Regular expressions of Llama 3, of Qwen 2 and of BLOOM."""
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}
FALCON: list[dict[str, Any]] = [
    {"type": "Punctuation", "behavior": "Contiguous"}, BYTES, {"type": "Digits", "individual_digits": False},
    {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": False}]


def _forms(name: str) -> list[dict[str, Any]]:
    """The steps of a cut, as tokenizer.json has them."""
    if name in PATTERNS:
        return [{"type": "Split", "pattern": {"Regex": PATTERNS[name]}, "behavior": "Isolated", "invert": False},
                {**BYTES, "use_regex": False}]
    return {"smollm": [DIGITS, BYTES], "falcon": FALCON}.get(name, [BYTES])


NAMES = ("smollm", "gpt-2", "falcon", *PATTERNS)


def cut_of(tokenizer: Any) -> str | None:
    """The name of a tokenizer's cut; None where it is none of `NAMES`.

    Args:
        tokenizer: of the package tokenizers.
    """
    state = json.loads(tokenizer.to_str())["pre_tokenizer"] or {}
    steps = state.get("pretokenizers", [state])
    found = [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]
    return next((name for name in NAMES if found == _forms(name)), None)


def set_cut(tokenizer: Any, name: str) -> None:
    """Let a tokenizer cut as a GGUF file's name says; a name that is not known changes nothing."""
    if name not in NAMES:
        return
    from tokenizers import Regex, pre_tokenizers

    made: dict[str, Callable[[dict[str, Any]], Any]] = {
        "Split": lambda one: pre_tokenizers.Split(Regex(one["pattern"]["Regex"]), "isolated"),
        "Digits": lambda one: pre_tokenizers.Digits(individual_digits=one["individual_digits"]),
        "Punctuation": lambda one: pre_tokenizers.Punctuation("contiguous"),
        "ByteLevel": lambda one: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=one["use_regex"])}
    steps = [made[one["type"]](one) for one in _forms(name)]
    tokenizer.pre_tokenizer = steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)
