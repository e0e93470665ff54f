"""Smaller tokenizers read the texts they were made for as before, and any text can still be written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wordy import KINDS, MINE, OTHERS, lines, tokenizer

from seedbed.compress.tokens import closure, merges_of, rebuild, words_of
from seedbed.errors import UserError


def smaller(kind: str, texts: list[str]) -> tuple[Any, Any, list[int]]:
    from tokenizers import Tokenizer

    whole = tokenizer(kind).backend_tokenizer
    values = json.loads(whole.to_str())
    kept = closure(values, {id for text in texts for id in whole.encode(text).ids})
    return whole, Tokenizer.from_str(json.dumps(rebuild(values, kept))), kept


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_read_as_before_and_all_others_come_back(kind: str) -> None:
    whole, small, kept = smaller(kind, MINE)
    assert len(kept) == small.get_vocab_size() < 0.75 * whole.get_vocab_size()
    for text in MINE:
        assert [kept[id] for id in small.encode(text).ids] == whole.encode(text).ids
    other = 0
    for text in [*OTHERS, *lines()[:100]]:
        before, after = whole.encode(text), small.encode(text)
        assert whole.decode(before.ids) == small.decode(after.ids)
        assert len(after.ids) >= len(before.ids)
        other += [kept[id] for id in after.ids] != before.ids
    assert other > 50  # the words that are gone are written in pieces


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_that_is_needed_is_kept_and_no_other(kind: str) -> None:
    whole, small, kept = smaller(kind, MINE)
    names = {id: word for word, id in words_of(json.loads(whole.to_str())).items()}
    assert [small.id_to_token(at) for at in range(len(kept))] == [names[id] for id in kept]
    words = set(small.get_vocab())
    if kind in ("byte_level", "llama3"):
        from tokenizers.pre_tokenizers import ByteLevel
        assert words.issuperset(ByteLevel.alphabet())
    if kind == "byte_fallback":
        assert words.issuperset(f"<0x{byte:02X}>" for byte in range(256))
    used = {whole.id_to_token(id) for text in MINE for id in whole.encode(text).ids}
    assert used <= words
    assert "[unused1]" not in words


@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback"])
def test_merges_lead_to_every_word_and_keep_their_order(kind: str) -> None:
    whole, small, _ = smaller(kind, MINE)
    before, after = (merges_of(json.loads(one.to_str())["model"]) for one in (whole, small))
    assert after == [pair for pair in before if pair in set(after)]
    made = {one + two for one, two in after}
    values = json.loads(small.to_str())
    special = {token["content"] for token in values["added_tokens"]}
    assert {word for word in values["model"]["vocab"] if len(word) > 1 and word not in special
            and not word.startswith("<0x")} == made


def test_a_whole_word_without_merges_stays_one_token() -> None:
    whole, small, kept = smaller("llama3", ["two zebras"])
    assert "Ġzebras" in small.get_vocab()
    assert [kept[id] for id in small.encode("two zebras").ids] == whole.encode("two zebras").ids


def test_the_rarest_piece_of_a_unigram_stays() -> None:
    """What is unknown costs as much as it and a constant: without it an unknown letter changes a text's path."""
    whole, small, kept = smaller("unigram", MINE)
    vocabulary = json.loads(whole.to_str())["model"]["vocab"]
    assert min(range(len(vocabulary)), key=lambda id: vocabulary[id][1]) in kept
    assert json.loads(small.to_str())["model"]["unk_id"] == kept.index(2)


def test_letters_without_a_token_of_their_own_keep_the_words_that_have_them() -> None:
    values = {"added_tokens": [], "model": {
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "vocab": {"[UNK]": 0, "a": 1, "##a": 2, "ab": 3, "aa": 4, "b": 5}}}
    assert closure(values, []) == [0, 1, 2, 3, 5]  # `ab` is how a b inside a word is written; `aa` is a and ##a


def test_unknown_kinds_are_refused_by_name() -> None:
    with pytest.raises(UserError, match="WordLevel"):
        closure({"added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": 0}}}, [0])
    with pytest.raises(UserError, match="end of words"):
        closure({"added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": None,
                                               "end_of_word_suffix": "</w>"}}, [0])
