"""Exact and near duplicates: what counts as one, how many are found, and that nothing else is."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from seedbed.data.duplicates import SHINGLE, find, normalise, words

LETTERS = list("abcdefghijklmnopqrstuvwxyz")


def clusters(texts: Any, **named: Any) -> list[int]:
    return find(texts, **named).near.tolist()


def vocabulary(random: np.random.Generator, size: int = 3000) -> list[str]:
    return ["".join(random.choice(LETTERS, n)) for n in random.integers(2, 10, size)]


def sentences(count: int, seed: int) -> list[str]:
    """Sentences of 6 to 40 words that follow Zipf's law."""
    random = np.random.default_rng(seed)
    known = vocabulary(random)
    weights = 1 / np.arange(1, len(known) + 1)
    return [" ".join(random.choice(known, random.integers(6, 40), p=weights / weights.sum())) for _ in range(count)]


def edited(text: str, random: np.random.Generator) -> str:
    """One to three words changed, dropped or misspelt."""
    parts = text.split()
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(len(parts)))
        if random.random() < 0.5:
            parts[at] = parts[at][:-1] + "x"
        elif len(parts) > 5:
            parts.pop(at)
    return " ".join(parts)


def true_pairs(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    """Every pair at or above the threshold, by brute force over shared shingles."""
    sets = [{t[i:i + SHINGLE] for i in range(len(t) - SHINGLE + 1)} for t in texts]
    holders: dict[str, list[int]] = {}
    found = set()
    for row, mine in enumerate(sets):
        shared = Counter(other for shingle in mine for other in holders.get(shingle, ()))
        found |= {(other, row) for other, n in shared.items()
                  if n / (len(mine) + len(sets[other]) - n) >= threshold}
        for shingle in mine:
            holders.setdefault(shingle, []).append(row)
    return found


def test_near_duplicates_are_found_and_nothing_else_is() -> None:
    base = sentences(1200, seed=3)
    random = np.random.default_rng(4)
    texts = base + [edited(text, random) for text in base[:800]]
    wanted = true_pairs(texts, 0.8)
    assert len(wanted) > 300
    near = find(texts).near
    members: dict[int, list[int]] = {}
    for row, cluster in enumerate(near.tolist()):
        members.setdefault(cluster, []).append(row)
    together = {pair for rows in members.values() for pair in combinations(rows, 2)}
    recall = sum(pair in together for pair in wanted) / len(wanted)
    precision = sum(pair in wanted for pair in together) / len(together)
    assert recall >= 0.98
    assert precision >= 0.97  # below 1 only where a chain joins two rows that are not alike themselves


def test_equal_but_for_case_space_width_and_punctuation() -> None:
    texts = ["The battery died.", "  the BATTERY   died!! ", "Ｔｈｅ battery died", "the battery lives"]
    assert find(texts).exact.tolist() == [0, 0, 0, 3]
    assert clusters(texts) == [0, 0, 0, 3]


@pytest.mark.parametrize(("one", "other"), [
    ("great :)", "great :("), ("I love it 😀", "I love it 😡"), ("C++", "C"), ("5 stars", "1 stars"), ("50 %", "50")])
def test_signs_that_carry_meaning_are_kept(one: str, other: str) -> None:
    assert find([one, other]).exact.tolist() == [0, 1]


def test_empty_texts_are_duplicates_of_nothing() -> None:
    texts = ["", "  ", "", "?!", "?!"]
    assert find(texts).exact.tolist() == [0, 1, 2, 3, 3]
    assert clusters(texts) == [0, 1, 2, 3, 3]


def test_short_texts_must_be_equal() -> None:
    assert clusters(["not at all goood", "not at all good", "not at all good"]) == [0, 1, 1]


def test_scripts_without_spaces() -> None:
    one = "这部手机的电池只用了两天就坏了我对此非常失望不会再买这个牌子的任何产品"
    assert words([one])[0] == len(one)
    assert clusters([one, one[:-1], "完全不同的一句话说的是别的事情和手机没有关系"]) == [0, 0, 2]


def test_a_chain_joins_its_ends() -> None:
    text = " ".join(f"word{i}" for i in range(40))
    steps = [text]
    for i in range(0, 24, 2):  # each differs from the one before by two words, the last from the first by 24
        steps.append(steps[-1].replace(f"word{i} ", f"other{i} ").replace(f"word{i + 1} ", f"other{i + 1} "))
    assert set(clusters(steps)) == {0}
    assert (0, len(steps) - 1) not in true_pairs(steps, 0.5)


def test_a_chain_of_too_many_rows_is_cut() -> None:
    words_ = [f"w{i:04d}" for i in range(400)]
    texts = [" ".join(words_[i:i + 20]) for i in range(300)]  # each shares 19 of 20 words with the next
    whole = find(texts, largest=1.0)
    assert whole.cut == 0
    assert len(set(whole.near.tolist())) == 1
    cut = find(texts, largest=0.1)
    assert cut.cut == 1
    assert Counter(cut.near.tolist()).most_common(1)[0][1] <= 100


def test_many_equal_rows_are_no_chain() -> None:
    found = find(["the very same text over and over"] * 500 + sentences(20, seed=1))
    assert found.cut == 0
    assert found.near[:500].tolist() == [0] * 500


def test_exact_groups_stay_within_one_cluster() -> None:
    base = sentences(300, seed=5)
    random = np.random.default_rng(6)
    found = find(base + [edited(t, random) for t in base] + base[:100])
    for group in np.unique(found.exact):
        assert len(set(found.near[found.exact == group].tolist())) == 1
    assert (found.near <= np.arange(len(found.near))).all()
    assert (found.exact <= np.arange(len(found.exact))).all()


def test_the_same_seed_gives_the_same_answer() -> None:
    texts = sentences(200, seed=7)
    texts += [text[:-3] for text in texts]
    assert clusters(texts, seed=1) == clusters(texts, seed=1)


def test_a_threshold_of_one_finds_only_equal_texts() -> None:
    texts = ["one two three four five six seven", "one two three four five six sevens", 
             "One two three four, five six seven"]
    assert clusters(texts, threshold=1) == [0, 1, 0]
    for wrong in (0, -1, 1.5):
        with pytest.raises(ValueError, match="threshold"):
            clusters(texts, threshold=wrong)


def test_odd_input() -> None:
    assert clusters([]) == []
    assert clusters(["one"]) == [0]
    arrow = pa.chunked_array([pa.array(["a b c d e f", None]), pa.array(["a b c d e f"])])
    assert clusters(arrow) == [0, 1, 0]
    long = "a sentence that is repeated " * 40_000  # over a million characters
    assert clusters([long, long + "!", "short"]) == [0, 0, 2]
    assert normalise(["\tA\u00a0b\r\nc"]).to_pylist() == ["a b c"]
