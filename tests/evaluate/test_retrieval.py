"""Figures of search against hand counts, scikit-learn's nDCG, BM25's formula and simulated coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from seedbed.evaluate.retrieval import Found, by_cosine, by_words, retrieval, search, verdict


def test_ranks_by_hand_with_several_right_documents_and_ties() -> None:
    scores = np.array([[9, 8, 7, 6, 5.0], [1, 5, 5, 0, 0], [3, 3, 3, 3, 3]])
    found = search(lambda start, stop: scores[start:stop], [[1, 3], [1], [0]])
    assert found.recall[1].tolist() == [0, 0, 0]          # the tie counts as before the right one
    assert found.recall[5].tolist() == [1, 1, 1]
    assert found.reciprocal.tolist() == [0.5, 0.5, 0.2]
    assert found.ndcg[0] == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3)))


def test_scores_that_are_no_numbers_find_nothing() -> None:
    found = search(lambda start, stop: np.full((stop - start, 30), np.nan), [[0], [1, 2]])
    assert found.ndcg.tolist() == found.reciprocal.tolist() == found.recall[10].tolist() == [0, 0]


def test_ndcg_is_that_of_scikit_learn() -> None:
    pick = np.random.default_rng(0)
    scores = pick.normal(size=(300, 40))
    right = [sorted(pick.choice(40, pick.integers(1, 15), False)) for _ in range(300)]
    truth = np.zeros((300, 40))
    for row, mine in zip(truth, right, strict=True):
        row[mine] = 1
    found = search(lambda start, stop: scores[start:stop], right)
    assert found.ndcg.mean() == pytest.approx(ndcg_score(truth, scores, k=10))


def test_bm25_by_its_formula_and_by_characters() -> None:
    documents = ["the blue box", "the box and the other box", "a red label 日本"]
    scores = by_words(["Box the?", "本"], documents)(0, 2)
    mean = (3 + 6 + 5) / 3

    def term(count: int, having: int, length: int) -> float:
        rare = math.log1p((3 - having + 0.5) / (having + 0.5))
        return rare * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / mean))
    assert scores[0] == pytest.approx([term(1, 2, 3) * 2, term(2, 2, 6) * 2, 0])
    assert scores[1] == pytest.approx([0, 0, term(1, 1, 5)])


def found(values: np.ndarray) -> Found:
    return Found({1: values, 5: values, 10: values}, values, values)


@pytest.mark.slow
def test_intervals_hold_the_truth_of_clustered_questions() -> None:
    pick, held, gained = np.random.default_rng(1), 0, 0
    for _ in range(400):
        unit = np.repeat(np.arange(30), 3)
        level = np.clip(pick.normal(0.6, 0.3, 30), 0, 1)[unit]          # questions of a unit are alike
        before = (pick.random(90) < level).astype(float)
        after = np.where(pick.random(90) < 0.2, 1.0, before)
        truth = np.clip(np.random.default_rng(2).normal(0.6, 0.3, 100_000), 0, 1).mean()
        lead = retrieval(found(before), found(after), found(before), unit.tolist())[0]
        assert lead.gain is not None and lead.before.n == 30
        held += lead.before.low <= truth <= lead.before.high
        gained += lead.gain.low <= 0.2 * (1 - truth) <= lead.gain.high
    assert held >= 368 and gained >= 368                                  # 92 % of 400


def test_all_right_is_not_certain_and_the_verdict_says_what_is_proven() -> None:
    ones, zeros, unit = np.ones(40), np.zeros(40), list(range(40))
    figures = retrieval(found(zeros), found(ones), found(zeros), unit)
    assert figures[0].after.low < 0.95 and figures[0].gain is not None and figures[0].gain.low > 0.8
    assert verdict(figures, 7).startswith("It finds more: nDCG@10 0.000 before, 1.000 after")
    assert verdict(retrieval(found(ones), found(zeros), found(ones), unit), 7).startswith("It has become worse")
    same = retrieval(found(ones), found(ones), found(zeros), unit)
    assert verdict(same, 7).startswith("Nothing is proven") and "BM25) has 0.000" in verdict(same, 7)
    vectors = np.eye(3, dtype=np.float32)
    assert search(by_cosine(vectors, vectors), [[0], [1], [2]]).ndcg.tolist() == [1, 1, 1]
