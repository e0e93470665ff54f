"""How well questions find their documents: recall, reciprocal rank and nDCG before and after training, and BM25."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Estimate
from .cases import estimate, figure, means
from .figures import Figure
from .intervals import Array

DEPTH = 10
"""Documents that a person looks at: MRR and nDCG count no further."""
RECALLS = (1, 5, 10)
BLOCK = 256
"""Questions whose scores are held at once."""
WORD = r"(?u)[぀-ヿ㐀-鿿]|[^\W぀-ヿ㐀-鿿]+"
"""Words; in Chinese and Japanese each character is one."""

Scores = Callable[[int, int], NDArray[Any]]
"""Scores of the questions from one position to another: -> [questions, documents]; more is nearer."""


@dataclass(frozen=True)
class Found:
    """Where each question's documents stood among all. [questions] each, from 0 to 1.

    Args:
        recall: by depth: the share of the question's documents among the first so many.
        reciprocal: 1 / rank of the first right document, 0 beyond 10 (MRR@10 is its mean).
        ndcg: nDCG@10 (Järvelin and Kekäläinen 2002) with one gain for each right document.
    """

    recall: dict[int, Array]
    reciprocal: Array
    ndcg: Array

    @property
    def kinds(self) -> list[tuple[str, str, Array]]:
        """Name, title and values of each figure; nDCG@10 leads."""
        return [("ndcg_at_10", "nDCG@10", self.ndcg),
                *((f"recall_at_{depth}", f"recall@{depth}", self.recall[depth]) for depth in RECALLS),
                ("mrr_at_10", "MRR@10", self.reciprocal)]


def search(scores: Scores, right: Sequence[Sequence[int]]) -> Found:
    """Rank all documents for each question.

    A document that scores the same as a right one counts as before it, and so does every one where scores are no
    numbers: what tells nothing apart finds nothing.

    Args:
        scores: of all documents.
        right: [questions] positions of the documents that answer each question, one at the least.
    """
    discount = 1 / np.log2(np.arange(2, DEPTH + 2))
    recall = {depth: np.zeros(len(right)) for depth in RECALLS}
    reciprocal, ndcg = np.zeros(len(right)), np.zeros(len(right))
    for start in range(0, len(right), BLOCK):
        some = right[start:start + BLOCK]
        for i, (row, mine) in enumerate(zip(scores(start, start + len(some)), some, strict=True), start):
            own = np.sort(row[list(mine)])[::-1]
            others = np.delete(row, list(mine))
            rank = np.array([(~(others < one)).sum() for one in own]) + np.arange(1, len(own) + 1)  # [right ones]
            for depth in RECALLS:
                recall[depth][i] = (rank <= depth).mean()
            near = rank[rank <= DEPTH]
            reciprocal[i] = 1 / near[0] if len(near) else 0.0
            ndcg[i] = discount[near - 1].sum() / discount[:len(own)].sum()
    return Found(recall, reciprocal, ndcg)


def by_cosine(questions: NDArray[np.float32], documents: NDArray[np.float32]) -> Scores:
    """Scores of vectors of length 1: [questions, width], [documents, width]."""
    return lambda start, stop: questions[start:stop] @ documents.T


def by_words(questions: Sequence[str], documents: Sequence[str], k1: float = 1.2, b: float = 0.75) -> Scores:
    """BM25 (Robertson and Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond"): what a search by
    words finds, which needs no model and which a model should beat to be worth its price.

    Args:
        k1: how soon a repeated word stops counting more.
        b: how much a long document is discounted.
    """
    from scipy.sparse import diags_array
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(token_pattern=WORD)
    counts = counter.fit_transform([*documents, *questions]).astype(np.float64).tocsr()
    asked, counts = (counts[len(documents):] > 0).astype(np.float64), counts[:len(documents)]
    having = np.bincount(counts.indices, minlength=counts.shape[1])
    rare = np.log1p((len(documents) - having + 0.5) / (having + 0.5))
    length = np.asarray(counts.sum(axis=1)).ravel()
    owner = np.repeat(np.arange(len(documents)), np.diff(counts.indptr))
    counts.data *= (k1 + 1) / (counts.data + k1 * (1 - b + b * length[owner] / max(1e-9, length.mean())))
    weighted: Any = (counts @ diags_array(rare)).T.tocsc()
    return lambda start, stop: (asked[start:stop] @ weighted).toarray()


def retrieval(before: Found, after: Found, words: Found, unit: Sequence[int], seed: int = 0) -> list[Figure]:
    """Figures of a model before and after training, beside BM25, on the same questions. nDCG@10 leads.

    Args:
        unit: [questions] number of the question's unit: questions that share a document stand or fall together, so
            intervals are over units.
        seed: of the test of the gain.
    """
    return [figure(name, title, *(means(one, unit) for one in (first, last, least)), seed=seed)
            for (name, title, first), (_, _, last), (_, _, least) in zip(before.kinds, after.kinds, words.kinds,
                                                                         strict=True)]


def estimates(found: Found, unit: Sequence[int]) -> dict[str, Estimate]:
    """The figures of one model alone, by name, with intervals over units."""
    return {name: estimate(means(one, unit)) for name, _, one in found.kinds}


def best(scores: Scores, questions: int) -> list[int]:
    """The document that stands first for each of the first so many questions."""
    return [int(row.argmax()) for start in range(0, questions, BLOCK)
            for row in scores(start, min(questions, start + BLOCK))]


def verdict(figures: list[Figure], documents: int) -> str:
    """One sentence for people: does it find more, and is it worth more than a search by words?

    Args:
        documents: how many were searched.
    """
    lead = figures[0]
    gain, words = lead.gain, lead.baseline
    assert gain is not None and words is not None
    beside = f" A search by words (BM25) has {words.value:.3f} ({words.low:.3f} to {words.high:.3f})."
    how = f"{lead.title} {lead.before.value:.3f} before, {lead.after.value:.3f} after, gain {gain.value:+.3f} " \
          f"({gain.low:+.3f} to {gain.high:+.3f}, n {gain.n}) among {documents:,} documents."
    if lead.change == "better":
        return f"It finds more: {how}{beside}"
    if lead.change == "worse":
        return f"It has become worse on questions that it has not seen: {how} Lower the learning rate."
    return f"Nothing is proven: on questions that it has not seen the difference could be chance. {how}{beside}"
