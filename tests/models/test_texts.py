"""Plain texts in windows, with a gap that is filled last, and special tokens that are text."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tiny
from transformers import AutoTokenizer

from seedbed.errors import UserError
from seedbed.models.fim import FAMILIES, fim_of
from seedbed.models.texts import CONTEXT, Texts

CODE = "def box(label):\n    return label + 'naïve'\n\n\nclass Paper:\n    blue = 1\n" * 6
QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")


def tokenizer(family: str = "llama", *names: str) -> Any:
    """A tiny tokenizer with these tokens, which Qwen's calls plain ones."""
    made = AutoTokenizer.from_pretrained(tiny.model(family))
    made.add_tokens(list(names))
    return made


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("most", [8, 24, 40, 4096])
def test_each_token_is_learned_once_and_the_end(family: str, most: int) -> None:
    texts = Texts(tokenizer(family), most)
    rows = texts.windows(CODE)
    begun = [token for row in rows for token, on in zip(row.ids, row.learned, strict=True) if on]
    whole = [*texts.ids(CODE), texts.tokenizer.eos_token_id]
    assert texts.head == ([1] if family == "gemma3" else [])
    assert begun == whole[family == "llama":]  # nothing stands before the first that could tell it
    assert all(len(row.ids) <= most for row in rows) and all(row.ids[:len(texts.head)] == texts.head for row in rows)
    context, head = min(CONTEXT, most // 8), len(texts.head)
    for before, after in pairwise(rows):
        assert after.ids[head:head + context] == before.ids[-context:]
        assert after.learned == [False] * (head + context) + [True] * (len(after.ids) - head - context)
    assert not any(row.cut for row in rows)


def test_special_tokens_in_a_text_are_text() -> None:
    plain = tokenizer("gemma3", *QWEN)
    texts, said = Texts(plain, 200), "a <|im_end|> b<eos>" + QWEN[0]
    ids = texts.windows(said)[0].ids
    special = set(plain.all_special_ids) | set(texts.fim.never if texts.fim else ())
    assert [token for token in ids if token in special] == [1, 0]  # its beginning and its end
    assert plain.decode(ids[1:-1]) == said
    assert plain(said)["input_ids"] != ids and len(plain("<eos>")["input_ids"]) == 2  # the tokenizer is as it was


def test_a_window_with_a_gap_is_the_text_in_another_order() -> None:
    made = tokenizer("gemma3", *QWEN)
    texts = Texts(made, 96)
    assert texts.fim is not None and texts.fim.end == made.convert_tokens_to_ids("<|endoftext|>")
    rows = texts.windows(CODE, filled=1.0, rng=np.random.default_rng(0))
    marks = [made.convert_tokens_to_ids(name) for name in QWEN]
    gaps, seen = [row for row in rows if marks[0] in row.ids], set[bool]()
    assert len(gaps) >= len(rows) - 1 and all(len(row.ids) <= 96 for row in rows)
    text = ""
    for row in rows:
        if row not in gaps:
            text += made.decode([i for i, on in zip(row.ids, row.learned, strict=True) if on])
            continue
        assert row.ids[0] == 1 and row.learned == [False] + [True] * (len(row.ids) - 1)
        assert row.ids[-1] == texts.fim.end
        at = [row.ids.index(mark) for mark in marks]
        first = at[1] == at[0] + 1  # the suffix comes first: then prefix and middle follow each other
        seen.add(first)
        rest = [made.decode(part) for part in (row.ids[at[0] + 1:at[1]], row.ids[at[1] + 1:at[2]],
                                               row.ids[at[2] + 1:-1])]
        text += rest[2] + rest[1] if first else rest[0] + rest[2] + rest[1]
    assert text.replace("<eos>", "") == CODE and seen == {True, False}
    again = texts.windows(CODE, filled=1.0, rng=np.random.default_rng(0))
    assert again == rows
    assert 0 < sum(marks[0] in row.ids for row in texts.windows(CODE * 4, filled=0.5, rng=np.random.default_rng(1))) \
        < len(texts.windows(CODE * 4, filled=0.5, rng=np.random.default_rng(1)))


@pytest.mark.parametrize("names", FAMILIES, ids=lambda one: one.prefix)
def test_tokens_are_found_by_their_names(names: Any) -> None:
    made = tokenizer("llama", *(name for name in (names.prefix, names.suffix, names.middle, names.end) if name))
    texts, number = Texts(made, 64), made.convert_tokens_to_ids
    assert texts.fim is not None and texts.fim.never >= {number(names.prefix), number(names.suffix)}
    asked, a, b = texts.gap("the box", " came"), texts.ids("the box"), texts.ids(" came")
    if names.middle:
        assert asked == [number(names.prefix), *a, number(names.suffix), *b, number(names.middle)]
    else:
        assert asked == [number(names.suffix), *b, number(names.prefix), *a]
    assert texts.fim.end == (number(names.end) if names.end else 0)


def test_what_is_far_from_the_gap_is_left_out() -> None:
    texts = Texts(tokenizer("gemma3", *QWEN), 64)
    before, after = "the box came " * 20, " and it was blue" * 20
    asked = texts.gap(before, after, most=40)
    assert len(asked) == 40 and asked[0] == 1
    suffix = asked.index(texts.fim.suffix) if texts.fim else 0
    assert asked[2:suffix] == texts.ids(before)[-27:] and asked[suffix + 1:-1] == texts.ids(after)[:9]
    assert len(texts.gap("the", after, most=40)) == 40 and len(texts.gap("a", "b", most=40)) == 6
    assert texts.beginning(before, 10) == [1, *texts.ids(before)[-9:]]


def test_a_model_without_the_tokens_says_so() -> None:
    texts = Texts(tokenizer(), 64)
    assert texts.fim is None and fim_of(texts.tokenizer) is None
    assert texts.windows(CODE, filled=1.0, rng=np.random.default_rng(0)) == texts.windows(CODE)
    with pytest.raises(UserError, match="no tokens for fill-in-the-middle"):
        texts.gap("a", "b")
