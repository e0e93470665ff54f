"""Entities: labelled spans of characters, learned as a tag for each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.marks import Span
from ..errors import DataError

Floats = NDArray[np.float64]
Offsets = Sequence[tuple[int, int]]
"""Start and end (not included) of each token in its text; equal where a token stands for no character."""
TORN = 0.02
"""Share of the spans to learn from that may begin or end inside a word where words are held together all the same."""
IGNORED = -100
"""The tag of a token that stands for no character: nothing is learned from it (torch's own `ignore_index`)."""


@dataclass(frozen=True)
class Tags:
    """The spans of a text as tags of its tokens.

    Args:
        tags: [tokens] index of each token's tag, `IGNORED` where it stands for no character.
        misfits: spans that the tokens cannot give exactly, with what they give instead (None: nothing).
    """

    tags: NDArray[np.int64]
    misfits: list[tuple[Span, Span | None]]


@dataclass(frozen=True)
class Found(Span):
    """A span that a model found.

    Args:
        confidence: probability of the tag of its least sure token, all legal readings of the text considered.
    """

    confidence: float = 0.0


@dataclass(frozen=True)
class Entities:
    """Which labels a span may have, and how spans become tags of tokens and tags become spans.

    Tags are IOB2 (Tjong Kim Sang and Veenstra 1999, "Representing text chunks") over the model's own tokens, every
    one of them: many scripts do not write words, and the pipeline of transformers reads such a model.

    Args:
        labels: every label, sorted.
        whole: spans begin and end where words do: no entity that is found ends inside a run of letters and digits.
    """

    labels: tuple[str, ...]
    whole: bool = False

    name = "entities"

    @classmethod
    def from_spans(cls, rows: Sequence[Sequence[Span]], texts: Sequence[str] = ()) -> Entities:
        """The task that these spans describe.

        Args:
            texts: of the rows; without them nothing is known of words. Scripts without spaces tell by their spans
                that words are no bounds.

        Raises:
            DataError: there are none.
        """
        ends = [goes_on(text, place) for text, spans in zip(texts, rows, strict=bool(texts)) for span in spans
                for place in (span.start, span.end)]
        labels = sorted({span.label for spans in rows for span in spans})
        if not labels:
            raise DataError("No row to learn from has a labelled span.", "Label some, or give more rows.")
        return cls(tuple(labels), bool(ends) and sum(ends) <= TORN * len(ends))

    @property
    def tags(self) -> tuple[str, ...]:
        """`O`, then `B-` and `I-` of each label; the position is the tag's index everywhere."""
        return ("O", *(f"{kind}-{label}" for label in self.labels for kind in "BI"))

    @property
    def legal(self) -> NDArray[np.bool_]:
        """[tags, tags]: whether the second may follow the first. `I-X` follows `B-X` or `I-X` alone."""
        count = len(self.tags)
        out = np.ones((count, count), np.bool_)
        for inside in range(2, count, 2):
            out[:, inside] = False
            out[[inside - 1, inside], inside] = True
        return out

    @property
    def within(self) -> NDArray[np.bool_]:
        """[tags, tags]: the same inside a word that is held together: `O` after `O`, and `I-X`."""
        out = self.legal
        out[:, 1::2] = False
        out[1:, 0] = False
        return out

    @property
    def first(self) -> NDArray[np.bool_]:
        """[tags]: whether a text may begin with it."""
        return np.asarray(self.legal[0])

    def encode(self, text: str, spans: Sequence[Span], offsets: Offsets) -> Tags:
        """Tags of the tokens of a text. A token of which any character (spaces aside) lies in a span belongs to it.

        Raises:
            DataError: a label that the task does not have.
        """
        edges, label = trim(text, offsets), {name: i for i, name in enumerate(self.labels)}
        tags = np.array([0 if start < end else IGNORED for start, end in edges], np.int64)
        owner, misfits = [-1] * len(edges), list[tuple[Span, Span | None]]()
        for number, span in enumerate(sorted(spans)):
            if span.label not in label:
                raise DataError(f"The label {span.label!r} is not one of those to learn.",
                                f"Known: {', '.join(self.labels[:20])}.")
            mine = [i for i, (start, end) in enumerate(edges)
                    if start < end and start < span.end and span.start < end and owner[i] < 0]
            for place, i in enumerate(mine):
                owner[i], tags[i] = number, 1 + 2 * label[span.label] + (place > 0)
            given = Span(edges[mine[0]][0], max(edges[i][1] for i in mine), span.label) if mine else None
            if given != span:
                misfits.append((span, given))
        return Tags(tags, misfits)

    def decode(self, text: str, logs: NDArray[Any], offsets: Offsets) -> list[Found]:
        """The likeliest legal tags (Viterbi 1967) as spans.

        Args:
            logs: [tokens, tags] log-probabilities.
        """
        edges = trim(text, offsets)
        real = [i for i, (start, end) in enumerate(edges) if start < end]
        if not real:
            return []
        scores = np.asarray(logs, np.float64)[real]
        inner = [False, *(self.whole and (edges[i][0] < end or (edges[i][0] == end and goes_on(text, end)))
                          for i, end in zip(real[1:], (edges[i][1] for i in real), strict=False))]
        sure, path = self.marginals(scores, inner), self.best(scores, inner)
        out, at = list[Found](), 0
        while at < len(path):
            tag, begin = path[at], at
            at += 1
            if not tag:
                continue
            while at < len(path) and path[at] == tag + 1:  # B- is odd, its I- follows it
                at += 1
            mine = range(begin, at)
            out.append(Found(edges[real[begin]][0], max(edges[real[i]][1] for i in mine), self.labels[(tag - 1) // 2],
                             float(min(sure[i, path[i]] for i in mine))))
        return out

    def best(self, scores: Floats, inner: Sequence[bool]) -> list[int]:
        """The legal path of most log-probability. scores: [tokens, tags], inner: [tokens] goes on with a word"""
        barred = np.where([self.legal, self.within], 0.0, -np.inf)
        total, back = scores[0] + np.where(self.first, 0.0, -np.inf), np.zeros(scores.shape, np.int64)
        for at in range(1, len(scores)):
            ways = total[:, None] + barred[int(inner[at])]                     # [from, to]
            back[at] = ways.argmax(0)
            total = ways.max(0) + scores[at]
        path = [int(total.argmax())]
        for at in range(len(scores) - 1, 0, -1):
            path.append(int(back[at, path[-1]]))
        return path[::-1]

    def marginals(self, scores: Floats, inner: Sequence[bool]) -> Floats:
        """Probability of each tag at each token among legal paths (Rabiner 1989). [tokens, tags] -> the same"""
        chance = np.exp(np.maximum(scores - scores.max(1, keepdims=True), -80))  # never 0: a word leaves one way only
        legal = np.array([self.legal, self.within], np.float64)
        ahead, behind = np.empty_like(chance), np.ones_like(chance)
        ahead[0] = chance[0] * self.first
        for at in range(1, len(chance)):
            ahead[at] = (ahead[at - 1] / ahead[at - 1].sum()) @ legal[int(inner[at])] * chance[at]
        for at in range(len(chance) - 2, -1, -1):
            behind[at] = legal[int(inner[at + 1])] @ (behind[at + 1] * chance[at + 1])
            behind[at] /= behind[at].sum()
        both = ahead * behind
        return np.asarray(both / both.sum(1, keepdims=True))

    def to_dict(self) -> dict[str, Any]:
        return {"task": self.name, "labels": list(self.labels), "whole": self.whole}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Entities:
        return cls(tuple(values["labels"]), bool(values.get("whole", False)))


def goes_on(text: str, place: int) -> bool:
    """Whether letters or digits stand on both sides of a place in a text: it is inside a word."""
    return 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum()


def trim(text: str, offsets: Offsets) -> list[tuple[int, int]]:
    """Offsets without the spaces that some tokenizers count to a token."""
    out = []
    for start, end in offsets:
        words = text[start:end]
        begin = start + len(words) - len(words.lstrip())
        out.append((begin, max(begin, start + len(words.rstrip()))))
    return out
