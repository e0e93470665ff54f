"""Finding entities without a model: those that were seen, and a linear tagger. What a model must beat."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..data.marks import Span
from .entities import Entities, Floats, Found

WORD = re.compile(r"[^\W\d_]+|\d+|\S")
"""A run of letters, a number, or one other character."""
LEAST_SHARE = 0.5
"""A term is looked up when at least so many of its places in the training texts are labelled so."""
STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse L2 penalties of the linear tagger that are tried; the best on the held rows is taken."""


def words(text: str) -> list[tuple[int, int]]:
    """Start and end of each word."""
    return [match.span() for match in WORD.finditer(text)]


class Dictionary:
    """Looks up the entities of the training rows, the longest first.

    A term is found as it was written; in any case of its letters where those places too are mostly labelled.
    """

    def __init__(self, texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> None:
        self.exact, self.any = _terms(texts, spans, str), _terms(texts, spans, str.casefold)
        self.longest = max((len(term) for term in (*self.exact, *self.any)), default=0)

    def tag(self, texts: Sequence[str]) -> list[list[Found]]:
        """The spans of each text."""
        return [list(self._spans(text)) for text in texts]

    def _spans(self, text: str) -> Iterator[Found]:
        places, at = words(text), 0
        pieces = [text[start:end] for start, end in places]
        while at < len(places):
            for size in range(min(self.longest, len(places) - at), 0, -1):
                term = tuple(pieces[at:at + size])
                found = self.exact.get(term) or self.any.get(tuple(map(str.casefold, term)))
                if found:
                    yield Found(places[at][0], places[at + size - 1][1], found[0], found[1])
                    at += size - 1
                    break
            at += 1


def _terms(texts: Sequence[str], spans: Sequence[Sequence[Span]],
           fold: Callable[[str], str]) -> dict[tuple[str, ...], tuple[str, float]]:
    """By words: the label and the share of places that have it, where that is `LEAST_SHARE` or more."""
    labelled: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for text, row in zip(texts, spans, strict=True):
        for span in row:
            piece = text[span.start:span.end]
            labelled[tuple(fold(piece[start:end]) for start, end in words(piece))][span.label] += 1
    longest, free = max(map(len, labelled), default=0), Counter[tuple[str, ...]]()
    for text, row in zip(texts, spans, strict=True):
        taken = {at for span in row for at in range(span.start, span.end)}
        pieces = ["" if start in taken else fold(text[start:end]) for start, end in words(text)]
        for at in range(len(pieces)):
            for size in range(1, min(longest, len(pieces) - at) + 1):
                if (term := tuple(pieces[at:at + size])) in labelled:
                    free[term] += 1
    out = {}
    for term, labels in labelled.items():
        label, count = min(labels.items(), key=lambda one: (-one[1], one[0]))
        share = count / (labels.total() + free[term])
        if term and share >= LEAST_SHARE:
            out[term] = (label, share)
    return out


class LinearTagger:
    """Logistic regression over features of a word and its neighbours, and the likeliest legal tags of a text.

    Features as in Zhang and Johnson (2003), "A robust risk minimization based named entity recognition system":
    words, shapes, beginnings and endings within two words on either side.

    Args:
        texts, spans: rows to learn from.
        held_texts, held_spans: rows that choose the penalty; without any the middle one is taken.
    """

    def __init__(self, task: Entities, texts: Sequence[str], spans: Sequence[Sequence[Span]],
                 held_texts: Sequence[str] = (), held_spans: Sequence[Sequence[Span]] = (), seed: int = 0) -> None:
        from sklearn.linear_model import LogisticRegression

        self.task = task
        y = np.concatenate([task.encode(text, row, words(text)).tags for text, row in zip(texts, spans, strict=True)])
        x, judged = _features(texts), any(held_spans)
        self.kept = np.flatnonzero(x.getnnz(axis=0) > 1)  # what occurs once teaches little, and half of them do
        x = x[:, self.kept]
        tried = list[tuple[float, float, Any]]()
        for strength in STRENGTHS if judged else STRENGTHS[1:2]:
            self.model = LogisticRegression(C=strength, max_iter=200, random_state=seed).fit(x, y)
            tried.append((f1(held_spans, self.tag(held_texts)) if judged else 0.0, -strength, self.model))
        _, strength, self.model = max(tried, key=lambda one: one[:2])
        self.strength = -strength

    def tag(self, texts: Sequence[str]) -> list[list[Found]]:
        """The spans of each text."""
        out = []
        for text in texts:
            places = words(text)
            out.append(self.task.decode(text, self._logs(text), places) if places else [])
        return out

    def _logs(self, text: str) -> Floats:
        """[words, tags]"""
        out = np.full((len(words(text)), len(self.task.tags)), -30.0)
        out[:, self.model.classes_] = self.model.predict_log_proba(_features([text])[:, self.kept])
        return out


def f1(truth: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]) -> float:
    """F1 of exact spans, all labels together."""
    pairs = [({(s.start, s.end, s.label) for s in a}, {(s.start, s.end, s.label) for s in b})
             for a, b in zip(truth, found, strict=True)]
    whole = sum(len(a) + len(b) for a, b in pairs)
    return 2 * sum(len(a & b) for a, b in pairs) / whole if whole else 0.0


def _features(texts: Sequence[str]) -> Any:
    """[words of all texts, hashed features], sparse."""
    from sklearn.feature_extraction import FeatureHasher

    rows = (row for text in texts for row in _rows([text[start:end] for start, end in words(text)]))
    return FeatureHasher(1 << 18, input_type="string").transform(rows)


def _rows(pieces: list[str]) -> Iterator[list[str]]:
    own = [[f"w={one.casefold()}", f"s={_shape(one)}",
            *(f"p={one[:size].casefold()}" for size in range(1, min(5, len(one)))),
            *(f"e={one[-size:].casefold()}" for size in range(1, min(5, len(one))))] for one in pieces]
    around = [[f"w={one.casefold()}", f"s={_shape(one)}", f"e={one[-3:].casefold()}"] for one in pieces]
    for at in range(len(pieces)):
        row = ["bias", *own[at]]
        for step in (-2, -1, 1, 2):
            near = around[at + step] if 0 <= at + step < len(pieces) else ["edge"]
            row += [f"{step}{feature}" for feature in near]
        for step in (-1, 0):  # pairs of words
            if at + step >= 0 and at + step + 1 < len(pieces):
                row.append(f"{step}{pieces[at + step].casefold()} {pieces[at + step + 1].casefold()}")
        yield row


def _shape(word: str) -> str:
    """`Xx` of `Paris`, `X` of `EU`, `d` of `1998`: kinds of characters, repeats once."""
    kinds = ["X" if one.isupper() else "x" if one.islower() else "d" if one.isdigit() else unicodedata.category(one)
             for one in word]
    return "".join(kind for place, kind in enumerate(kinds) if not place or kinds[place - 1] != kind)
