"""Spans to tags of tokens and back, and taggers without a model."""

from __future__ import annotations

import random
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from seedbed.data.marks import Span
from seedbed.errors import DataError
from seedbed.tasks.entities import IGNORED, Entities
from seedbed.tasks.spotting import Dictionary, LinearTagger, f1, words

TASK = Entities(("LOC", "PER"))
LETTERS = "abcXYZ é\u0301👍\n\t好.-"


def tokens(pick: random.Random, text: str, cut: set[int]) -> list[tuple[int, int]]:
    """Random pieces that end wherever `cut` says, some with the space before them, some twice (bytes)."""
    edges = sorted({0, len(text), *cut, *(pick.randrange(len(text) + 1) for _ in range(8))})
    out = []
    for start, end in pairwise(edges):
        out += [(start, end)] * pick.choice((1, 1, 1, 2))
    return out


@pytest.mark.parametrize("seed", range(60))
def test_spans_come_back_from_their_tags(seed: int) -> None:
    pick = random.Random(seed)
    text = "".join(pick.choices(LETTERS, k=40))
    edges = sorted(pick.sample(range(41), 8))
    spans = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip())
        if piece.strip():
            spans.append(Span(start, start + len(piece.strip()), pick.choice(TASK.labels)))
    offsets = tokens(pick, text, {edge for one in spans for edge in (one.start, one.end)})
    tags = TASK.encode(text, spans, offsets)
    assert not tags.misfits
    logs = np.full((len(offsets), 5), -5.0)
    logs[np.flatnonzero(tags.tags >= 0), tags.tags[tags.tags >= 0]] = 0
    found = TASK.decode(text, logs, offsets)
    assert [Span(one.start, one.end, one.label) for one in found] == sorted(spans)
    assert all(text[one.start:one.end].strip() == text[one.start:one.end] for one in found)
    assert all(0.8 < one.confidence <= 1 for one in found)


def test_a_span_that_tokens_cannot_give_is_learned_and_told() -> None:
    text = "diabetes type2"
    offsets = [(0, 8), (8, 14)]
    tags = TASK.encode(text, [Span(0, 6, "PER"), Span(9, 13, "LOC")], offsets)
    assert tags.tags.tolist() == [3, 1]
    assert tags.misfits == [(Span(0, 6, "PER"), Span(0, 8, "PER")), (Span(9, 13, "LOC"), Span(9, 14, "LOC"))]
    both = TASK.encode("ab", [Span(0, 1, "PER"), Span(1, 2, "LOC")], [(0, 2)])
    assert both.misfits == [(Span(0, 1, "PER"), Span(0, 2, "PER")), (Span(1, 2, "LOC"), None)]
    assert TASK.encode("a b", [], [(0, 1), (1, 2), (2, 3)]).tags.tolist() == [0, IGNORED, 0]
    with pytest.raises(DataError, match="'ORG' is not one"):
        TASK.encode("a", [Span(0, 1, "ORG")], [(0, 1)])


@pytest.mark.parametrize("seed", range(20))
def test_the_path_is_the_best_legal_one_and_confidence_is_exact(seed: int) -> None:
    pick = np.random.default_rng(seed)
    scores, inner = pick.normal(size=(5, 5)) * 2, (pick.random(5) < (seed % 2) / 2).tolist()
    legal = [path for path in product(range(5), repeat=5) if TASK.first[path[0]] and all(
        (TASK.within if inner[at + 1] else TASK.legal)[a, b] for at, (a, b) in enumerate(pairwise(path)))]
    assert 0 < len(legal) < 5 ** 5
    weight = np.array([sum(scores[at, tag] for at, tag in enumerate(path)) for path in legal])
    assert TASK.best(scores, inner) == list(legal[int(weight.argmax())])
    chance = np.exp(weight - weight.max())
    chance /= chance.sum()
    exact = np.zeros((5, 5))
    for path, share in zip(legal, chance, strict=True):
        exact[np.arange(5), path] += share
    assert np.allclose(TASK.marginals(scores, inner), exact)


@pytest.mark.parametrize("inner", [False, True])
def test_a_long_text_does_not_underflow(inner: bool) -> None:
    scores = np.random.default_rng(0).normal(size=(3_000, 5)) * 50
    held = [inner and at % 3 > 0 for at in range(3_000)]
    assert np.isfinite(TASK.marginals(scores, held)).all()
    path = TASK.best(scores, held)
    assert all((TASK.within if on else TASK.legal)[a, b] for a, b, on in zip(path, path[1:], held[1:], strict=False))


def test_an_entity_does_not_end_inside_a_word_where_no_learned_one_does() -> None:
    text, offsets = "took zoloft-xr", [(0, 4), (5, 7), (7, 11), (11, 12), (12, 14)]
    logs = np.log(np.array([[.8, .05, .05, .05, .05], [.1, .05, .05, .75, .05], [.5, .05, .05, .05, .35],
                            [.9, .025, .025, .025, .025], [.9, .025, .025, .025, .025]]))
    span = Span(5, 11, "PER")
    whole = Entities.from_spans([[span, Span(0, 4, "LOC")]], [text])
    assert whole.whole and Entities.from_spans([[span]]).whole is False
    assert [text[one.start:one.end] for one in TASK.decode(text, logs, offsets)] == ["zo"]
    assert [text[one.start:one.end] for one in whole.decode(text, logs, offsets)] == ["zoloft"]
    assert not Entities.from_spans([[Span(0, 1, "LOC")]], ["東京都"]).whole  # a script without spaces


def rows(count: int, seed: int) -> tuple[list[str], list[list[Span]]]:
    """A name follows `dr`, a place follows `in`."""
    pick, texts, spans = random.Random(seed), [], []
    for _ in range(count):
        name, place = (" ".join("".join(pick.choices("bdfgklmo", k=5)).title() for _ in range(size))
                       for size in (1, 2))
        text = f"then dr {name} came, and stayed in {place} for May"
        spans.append([Span(8, 8 + len(name), "PER"), Span(text.index(" in ") + 4, text.index(" for May"), "LOC")])
        texts.append(text)
    return texts, spans


def test_a_dictionary_finds_what_it_has_seen() -> None:
    texts = ["Ann may go. May went with Ann Lee", "Ann Lee is MAY", "may, may", "in may"]
    spans = [[Span(0, 3, "PER"), Span(12, 15, "PER"), Span(26, 33, "PER")], [Span(0, 7, "PER")], [], []]
    found = Dictionary(texts, spans)
    [one] = found.tag(["ANN LEE saw Ann and may and May, Annie"])
    assert [(s.start, s.end, s.label) for s in one] == [(0, 7, "PER"), (12, 15, "PER"), (28, 31, "PER")]
    assert [s.confidence for s in one][2] == 1.0
    assert Dictionary(["a"], [[]]).tag(["a", ""]) == [[], []]


def test_the_linear_tagger_learns_from_what_stands_around() -> None:
    known, new = rows(60, 0), rows(30, 1)
    tagger = LinearTagger(TASK, *known, *rows(10, 2))
    assert f1(new[1], tagger.tag(new[0])) > 0.95 > 0.1 > f1(new[1], Dictionary(*known).tag(new[0]))
    assert LinearTagger(TASK, *known).tag(new[0][:3]) == LinearTagger(TASK, *known).tag(new[0][:3])
    assert tagger.tag([""]) == [[]]
    assert all(s.confidence > 0.5 for row in tagger.tag(new[0]) for s in row)


def test_words_are_letters_numbers_and_signs() -> None:
    text = "Zoë's 10mg_x"
    assert [text[a:b] for a, b in words(text)] == ["Zoë", "'", "s", "10", "mg", "_", "x"]


def test_f1_of_nothing_is_nought() -> None:
    nothing: list[list[Any]] = [[]]
    assert f1(nothing, nothing) == 0.0
