"""A tokenizer with fewer tokens that reads the texts it was made for exactly as before, and can still write any text.

Everything is done on what `tokenizer.json` holds, for its three kinds of models:

- BPE: a token is kept with all that its merges pass through, and every merge between kept tokens is kept. In a text
  whose tokens are all kept each merge that was applied is there, still the first that applies: it is read as before.
- WordPiece takes the longest piece that fits, and Unigram the likeliest path: both were among the kept ones.
- Any text can still be written: the 256 bytes stay, and where a tokenizer has none, all single characters do.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import UserError

UNUSED = re.compile(r"unused_?\d+")
"""Words that a vocabulary holds in reserve."""
Values = dict[str, Any]
"""What `tokenizer.json` holds."""


def closure(values: Values, wanted: Iterable[int]) -> list[int]:
    """The tokens that must be kept so that these are read as before and any text can be written. -> ascending ids

    Args:
        wanted: ids of tokens that are used.

    Raises:
        UserError: a kind of tokenizer that is not known here.
    """
    ids = words_of(values)
    names = {id: word for word, id in ids.items()}
    special = {token["id"] for token in values["added_tokens"] if token["special"]}
    kept = {names[id] for id in {*wanted, *special, *around(values)} if id in names}
    kept |= {word for word in ids if is_byte(word)}
    model = values["model"]
    needed = _KINDS.get(str(model.get("type")))
    if needed is None:
        raise UserError(f"Tokenizers of the kind {model.get('type')} cannot be trimmed.",
                        "Leave vocabulary out of --how, or take a model with BPE, WordPiece or Unigram.")
    kept |= needed(values, kept)
    return sorted(ids[word] for word in kept)


def words_of(values: Values) -> dict[str, int]:
    """The id of every token, added ones among them."""
    vocabulary = values["model"]["vocab"]
    ids = {word: id for id, (word, _) in enumerate(vocabulary)} if isinstance(vocabulary, list) else dict(vocabulary)
    return {**ids, **{token["content"]: token["id"] for token in values["added_tokens"]}}


def is_byte(word: str) -> bool:
    """A token for one byte, such as `<0x0A>`, of tokenizers that fall back to bytes."""
    return len(word) == 6 and word.startswith("<0x") and word.endswith(">")


def _bpe(values: Values, kept: set[str]) -> set[str]:
    model = values["model"]
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise UserError("A BPE tokenizer with marks inside or at the end of words cannot be trimmed.",
                        "Leave vocabulary out of --how.")
    ranks = {pair: at for at, pair in reversed(list(enumerate(merges_of(model))))}
    own, needed = model["vocab"], {model["unk_token"]} - {None}
    if "ByteLevel" in _types(values):
        from tokenizers.pre_tokenizers import ByteLevel

        needed |= set(ByteLevel.alphabet()) & own.keys()
    elif not (model.get("byte_fallback") and all(f"<0x{byte:02X}>" in own for byte in range(256))):
        needed |= _characters(own, lambda word: [word[i] for i in range(len(word))])
    for word in [one for one in kept if one in own]:
        needed |= _passed(word, ranks) & own.keys()
    return needed


def merges_of(model: Values) -> list[tuple[str, str]]:
    """The merges of a BPE model, first the first; written as pairs or, in older files, with a space between."""
    pairs = [one.split(" ") if isinstance(one, str) else one for one in model["merges"]]
    return [(first, second) for first, second in pairs]


def _passed(word: str, ranks: Mapping[tuple[str, str], int]) -> set[str]:
    """All that stands there while merges make a word of its characters; the characters as well."""
    parts, seen = list(word), set(word)
    while len(parts) > 1:
        rank, at = min((ranks.get((parts[i], parts[i + 1]), len(ranks)), i) for i in range(len(parts) - 1))
        if rank == len(ranks):
            break
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
        seen.add(parts[at])
    return seen


def _word_piece(values: Values, kept: set[str]) -> set[str]:
    model = values["model"]
    prefix = model["continuing_subword_prefix"]

    def letters(word: str) -> list[str]:
        inner = word.startswith(prefix) and word != prefix
        bare = word[len(prefix):] if inner else word
        return [(prefix if inner or i else "") + letter for i, letter in enumerate(bare)]

    special = {token["content"] for token in values["added_tokens"]}
    words = [word for word in model["vocab"] if word not in special and not UNUSED.search(word)]
    return _characters(words, letters) | {model["unk_token"]}


def _unigram(values: Values, kept: set[str]) -> set[str]:
    vocabulary = [(str(word), float(score)) for word, score in values["model"]["vocab"]]
    special = {token["content"] for token in values["added_tokens"]}
    plain = [(word, score) for word, score in vocabulary if word not in special and not is_byte(word)]
    needed = _characters([word for word, _ in plain], list)
    if values["model"].get("unk_id") is not None:
        needed.add(vocabulary[values["model"]["unk_id"]][0])
    # what is not known costs as much as the rarest piece and 10 more: that piece stays, so that paths do
    return needed | {min(vocabulary, key=lambda pair: pair[1])[0]}


def _characters(words: Iterable[str], letters: Callable[[str], list[str]]) -> set[str]:
    """Every single character, and every word with a character that has no token of its own."""
    words = set(words)
    return {word for word in words if len(split := letters(word)) == 1 or not words.issuperset(split)}


_KINDS: dict[str, Callable[[Values, set[str]], set[str]]] = {
    "BPE": _bpe, "WordPiece": _word_piece, "Unigram": _unigram}


def _types(part: Any) -> set[str]:
    """The types of all parts that change or cut a text before the model sees it."""
    found, left = set[str](), [part.get("pre_tokenizer"), part.get("normalizer")]
    while left:
        one = left.pop()
        if one:
            found.add(str(one["type"]))
            left += [*one.get("pretokenizers", []), *one.get("normalizers", [])]
    return found


def rebuild(values: Values, kept: list[int]) -> Values:
    """The tokenizer with these tokens alone, numbered anew in their old order.

    Args:
        kept: ascending ids; what `closure` gave.
    """
    made, new = copy.deepcopy(values), {id: at for at, id in enumerate(kept)}
    model = made["model"]
    if isinstance(model["vocab"], list):
        model["vocab"] = [pair for id, pair in enumerate(model["vocab"]) if id in new]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {word: new[id] for word, id in sorted(model["vocab"].items(), key=lambda pair: pair[1])
                          if id in new}
    if "merges" in model:
        there = model["vocab"]
        model["merges"] = [[one, two] for one, two in merges_of(model)
                           if one in there and two in there and one + two in there]
    made["added_tokens"] = [{**token, "id": new[token["id"]]} for token in made["added_tokens"] if token["id"] in new]
    if made.get("post_processor"):
        _renumber(made["post_processor"], new)
    if made.get("padding"):
        made["padding"]["pad_id"] = new[made["padding"]["pad_id"]]
    return made


def _renumber(part: Values, new: Mapping[int, int]) -> None:
    """Give the tokens that are put around a text their new ids."""
    for inner in part.get("processors", []):
        _renumber(inner, new)
    for token in (part.get("special_tokens") or {}).values():
        token["ids"] = [new[id] for id in token["ids"]]
    for name in ("sep", "cls"):
        if name in part:
            part[name] = [part[name][0], new[part[name][1]]]


def around(values: Values) -> set[int]:
    """Ids of the tokens that are put around a text, or fill it up."""
    found = {values["padding"]["pad_id"]} if values.get("padding") else set[int]()
    left = [values.get("post_processor")]
    while left:
        part = left.pop() or {}
        left += part.get("processors", [])
        found |= {id for token in (part.get("special_tokens") or {}).values() for id in token["ids"]}
        found |= {part[name][1] for name in ("sep", "cls") if name in part}
    return found
