"""A tokenizer as a GGUF file has it: words, how they come together, marks, chat template."""

from __future__ import annotations

import json
import re
from typing import Any

from ..models.cuts import cut_of

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Kinds of tokens."""
SPACE = "\u2581"
"""What SentencePiece writes for a space."""
PLAIN = [{"type": "Prepend", "prepend": SPACE}, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
"""How transformers normalizes texts for it; the first is left out where no space is put before a text."""
UNUSED_CUT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
"""Gemma's cut, at spaces that are no more there."""
A_BYTE = re.compile("<0x[0-9A-F]{2}>")


def kind_of(tokenizer: Any) -> str | None:
    """llama.cpp's name of a tokenizer's kind: `gpt2` (bytes) or `llama` (SentencePiece); None where it is neither.

    Args:
        tokenizer: of transformers, a fast one.
    """
    state = _state(tokenizer)
    if state["model"]["type"] != "BPE":
        return None
    if not state["model"].get("byte_fallback"):
        return "gpt2" if cut_of(tokenizer.backend_tokenizer) else None
    return "llama" if _prefixed(state) is not None else None


def write_words(out: Any, tokenizer: Any, size: int, ends: list[int]) -> None:
    """Write words, merges or scores, marks and chat template.

    Args:
        out: a `GGUFWriter`.
        size: words that the model scores; those that the tokenizer does not have are filled in.
        ends: tokens at which serving stops.
    """
    state, kind = _state(tokenizer), kind_of(tokenizer)
    words = {place: word for word, place in state["model"]["vocab"].items()}
    kinds = {place: BYTE if kind == "llama" and A_BYTE.fullmatch(word) else NORMAL for place, word in words.items()}
    for one in state["added_tokens"]:
        words[one["id"]] = one["content"]
        # spaces in a row are words of Gemma's that are marked as added: a text has none of them, only spaces
        plain = kind == "llama" and not one["content"].strip(SPACE)
        kinds[one["id"]] = CONTROL if one["special"] or one["id"] in ends else NORMAL if plain else USER
    if kind == "llama" and tokenizer.unk_token_id is not None:
        kinds[tokenizer.unk_token_id] = UNKNOWN
    out.add_tokenizer_model(kind)
    out.add_tokenizer_pre(cut_of(tokenizer.backend_tokenizer) if kind == "gpt2" else "default")
    out.add_token_list([words.get(place, f"[PAD{place}]") for place in range(size)])
    out.add_token_types([kinds.get(place, UNUSED) for place in range(size)])
    merges = [tuple(one.split(" ", 1)) if isinstance(one, str) else tuple(one) for one in state["model"]["merges"]]
    if kind == "llama":
        out.add_token_scores(_scores(words, merges, size))
    else:
        out.add_token_merges([" ".join(pair) for pair in merges])
    _marks(out, tokenizer, ends)
    out.add_add_space_prefix(bool(kind == "llama" and _prefixed(state)))
    if tokenizer.chat_template:
        out.add_chat_template(tokenizer.chat_template)


def _marks(out: Any, tokenizer: Any, ends: list[int]) -> None:
    """Special tokens, and whether one is put before a text."""
    marks = {"bos": tokenizer.bos_token_id, "unk": tokenizer.unk_token_id, "pad": tokenizer.pad_token_id}
    first = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else next(iter(ends), None)
    marks |= dict(zip(("eos", "eot", "eom"), [one for one in (first, *(e for e in ends if e != first))
                                             if one is not None], strict=False))
    for name, token in marks.items():
        if token is not None:
            getattr(out, f"add_{name}_token_id")(token)
    alone = tokenizer("a")["input_ids"]
    out.add_add_bos_token(tokenizer.bos_token_id is not None and alone[0] == tokenizer.bos_token_id)


def _scores(words: dict[int, str], merges: list[tuple[str, ...]], size: int) -> list[float]:
    """SentencePiece takes the pair whose word scores best, BPE the first in its list: the places there are scores."""
    first = dict[str, int]()
    for place, (left, right) in enumerate(merges):
        first.setdefault(left + right, place)
    return [-float(first.get(words.get(place, ""), len(merges))) for place in range(size)]


def _prefixed(state: dict[str, Any]) -> bool | None:
    """Whether a space is put before a text; None where texts are normalized otherwise than SentencePiece does it."""
    normalizer, cut = state["normalizer"] or {}, state["pre_tokenizer"] or {}
    steps = normalizer.get("normalizers", [normalizer] if normalizer else [])
    if cut in ({}, UNUSED_CUT) and steps in (PLAIN, PLAIN[1:]):
        return bool(steps == PLAIN)
    if not steps and cut.get("type") == "Metaspace" and not cut.get("split", True) and cut["replacement"] == SPACE:
        return bool(cut["prepend_scheme"] != "never")
    return None


def _state(tokenizer: Any) -> dict[str, Any]:
    return dict(json.loads(tokenizer.backend_tokenizer.to_str()))
