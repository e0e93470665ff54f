"""How tokenizers cut texts, by name."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from seedbed.models.cuts import NAMES, cut_of, set_cut

TEXT = "  12 don't x²³\n\nDON'T"
PIECES = {
    "smollm": ["ĠĠ", "1", "2", "Ġdon", "'t", "Ġx", "Â²", "Â³", "Ċ", "Ċ", "DON", "'", "T"],
    "gpt-2": ["Ġ", "Ġ12", "Ġdon", "'t", "Ġx", "Â²Â³", "Ċ", "Ċ", "DON", "'", "T"],
    "falcon": ["Ġ", "Ġ", "12", "Ġdon", "'", "t", "Ġx", "Â", "²", "Â", "³", "Ċ", "Ċ", "DON", "'", "T"],
    "llama-bpe": ["Ġ", "Ġ", "12", "Ġdon", "'t", "Ġx", "Â²Â³", "ĊĊ", "DON", "'T"],
    "qwen2": ["Ġ", "Ġ", "1", "2", "Ġdon", "'t", "Ġx", "Â²", "Â³", "ĊĊ", "DON", "'T"],
    "bloom": ["Ġ", "Ġ12", "Ġdon't", "ĠxÂ²Â³", "ĊĊ", "DON'T"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_is_known_by_its_name_and_cuts_as_it_does(name: str) -> None:
    tokenizer = Tokenizer(models.BPE())
    set_cut(tokenizer, name)
    assert cut_of(tokenizer) == name
    assert [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(TEXT)] == PIECES[name]


def test_what_is_not_known_stays_as_it_is() -> None:
    tokenizer = Tokenizer(models.BPE())
    assert cut_of(tokenizer) is None
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    set_cut(tokenizer, "default")
    assert cut_of(tokenizer) is None
    assert [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str("a b")] == ["a", "b"]
