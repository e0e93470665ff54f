"""Figures of answers: intervals that hold, gains by row, tests by exchange."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.evaluate.answers import figures, verdict
from seedbed.evaluate.cases import by_unit, estimate, gain, means
from seedbed.evaluate.intervals import ratio
from seedbed.tasks.metrics.grams import bleu
from seedbed.tasks.metrics.words import ROUGE_L
from seedbed.tasks.write import WRITING

TEXTS = [f"the {a} {b} is in the {c} house" for a in ("big", "old", "red") for b in ("dog", "cat") for c in
         ("green", "blue", "small", "far", "new")]


def spoiled(share: float, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join("x" if rng.random() < share else word for word in text.split()) for text in TEXTS]


def test_a_mean_has_the_interval_of_students_t() -> None:
    values = np.random.default_rng(0).uniform(0.3, 0.7, 400)
    mine = estimate(means(values))
    theirs = ratio(values, np.ones(400))
    assert mine.value == pytest.approx(theirs.value)
    assert (mine.low, mine.high) == (pytest.approx(theirs.low, abs=1e-3), pytest.approx(theirs.high, abs=1e-3))


@pytest.mark.parametrize("right", [0, 12])
def test_all_or_nothing_is_not_certain(right: int) -> None:
    e = estimate(means([right > i for i in range(12)]))
    assert e.value == (right > 0) and e.high - e.low > 0.2 and 0 <= e.low <= e.high <= 1


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    answers = spoiled(0.3) + spoiled(0.6, 1)
    rng = np.random.default_rng(0)
    for metric in (bleu(), ROUGE_L):
        counts = metric.count(answers, TEXTS * 2)
        truth = float(metric.of(counts.sum(axis=0)))
        drawn = [estimate(counts[rng.integers(0, len(counts), 20)], metric.of, metric.most) for _ in range(300)]
        assert 0.90 < np.mean([e.low <= truth <= e.high for e in drawn]) <= 1


def test_what_became_better_is_told_from_chance() -> None:
    task = WRITING.get("translate")(language="en")
    better, worse, same = spoiled(0.1), spoiled(0.5), spoiled(0.5, 7)
    found = figures(task, worse, better, TEXTS, TEXTS, baseline=["x"] * len(TEXTS))
    assert [one.name for one in found] == ["chrf", "chrf_plus", "bleu"]
    for one in found:
        assert one.gain and one.p_value == pytest.approx(1 / 5001) and one.baseline and one.baseline.value < 5
        assert 0 < one.gain.low < one.gain.value == pytest.approx(one.after.value - one.before.value)
        assert one.gain.n == one.before.n == len(TEXTS)
    assert verdict(found[0]).startswith("It answers better than before: chrF, 0 to 100 (sacreBLEU) went from")
    back = figures(task, better, worse, TEXTS, TEXTS)[0]
    assert back.gain and found[0].gain and back.gain.value == pytest.approx(-found[0].gain.value)
    assert verdict(back).startswith("It answers worse")
    chance = figures(task, worse, same, TEXTS, TEXTS)[0]
    assert chance.p_value and chance.p_value > 0.05 and verdict(chance).startswith("Nothing is proven")
    copied = figures(task, worse, better, TEXTS, TEXTS, baseline=TEXTS)[0]
    assert "no better than the baseline" in verdict(copied)


def test_equal_answers_gain_nothing_but_that_is_not_certain() -> None:
    one = figures(WRITING.get("chat")(), spoiled(0.3), spoiled(0.3), TEXTS, TEXTS)[0]
    assert one.gain and (one.gain.value, one.p_value, one.change) == (0, 1, "open")
    assert -one.gain.low == one.gain.high == pytest.approx(0.12, abs=0.01)


def test_the_exchange_test_is_the_sign_flips() -> None:
    """With five rows all 32 arrangements can be counted."""
    apart = np.array([0.2, 0.1, 0.05, -0.1, 0.3])
    one, other = means(0.5 + apart / 2), means(0.5 - apart / 2)
    flips = np.array([[1 - 2 * (i >> bit & 1) for bit in range(5)] for i in range(32)])
    exact = np.mean(np.abs(flips @ apart) >= apart.sum() - 1e-12)
    assert gain(one, other)[1] == pytest.approx(exact, abs=0.02)


def test_rows_of_one_document_are_no_further_cases() -> None:
    """Ten documents of nine rows each, whose answers are all right or all wrong: rows alone would be called sure."""
    rng, inside = np.random.default_rng(0), {True: 0, False: 0}
    unit = np.repeat(np.arange(30), 9).tolist()
    for _ in range(300):
        before, after = (np.repeat(rng.random(30) < 0.5, 9) for _ in range(2))
        for known in inside:
            found = gain(*(means(side, unit if known else None) for side in (after, before)), exchanges=1)[0]
            inside[known] += found.low <= 0 <= found.high
            assert found.n == (30 if known else 270)
    assert inside[True] / 300 > 0.92 and inside[False] / 300 < 0.6
    task, halves = WRITING.get("translate")(language="en"), [i // 2 for i in range(len(TEXTS))]
    one = figures(task, spoiled(0.5), spoiled(0.1), TEXTS, TEXTS, unit=halves)[2]  # BLEU of a corpus
    assert one.name == "bleu" and one.after.n == len(TEXTS) // 2
    assert one.after.value == figures(task, spoiled(0.5), spoiled(0.1), TEXTS, TEXTS)[2].after.value
    assert by_unit(np.arange(3), [7, 7, 7]).tolist() == [0, 1, 2]  # one unit tells no spread


def test_a_case_that_counts_nothing_tells_nothing() -> None:
    counts = np.zeros((100, 2))
    counts[:2, 1] = 1  # two of 100 rows ask, and none is right
    assert estimate(counts).high > 0.9 and estimate(means(np.zeros(100))).high < 0.04
    assert (estimate(counts[5:]).low, estimate(counts[5:]).high) == (0, 1)


def test_one_row_and_missing_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows or more"):
        figures(WRITING.get("chat")(), ["a"], ["a"], ["a"], ["a"])
    with pytest.raises(ValueError, match="a reference for each"):
        figures(WRITING.get("chat")(), ["a", "b"], ["a"], ["a", "b"], ["", ""])
