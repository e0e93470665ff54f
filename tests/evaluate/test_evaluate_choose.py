from __future__ import annotations

import numpy as np
import pytest
from coverage_study import TASK, answers, rule_loss

from seedbed.errors import DataError
from seedbed.evaluate.choose import Choice, choose
from seedbed.tasks.classify import Classify

NAMES = ("majority", "linear", "embedding", "slm")
RANKS = {name: i for i, name in enumerate(NAMES)}


def pick(rows: int, *accuracies: float, seed: int = 0, share: tuple[float, ...] = (.65, .3, .05),
         **how: float) -> Choice:
    """Candidates in the order of `NAMES`, the majority first."""
    y, decided = answers(rows, accuracies, np.random.default_rng(seed), share)
    every = [np.full(rows, np.bincount(y).argmax()), *decided]
    return choose(TASK, y, {name: np.eye(3, dtype=np.float32)[d] for name, d in zip(NAMES, every, strict=False)},
                  RANKS, metric="accuracy", **how)


def test_the_best_wins_when_the_rest_is_worse() -> None:
    found = pick(1000, .72, .78, .88)
    assert found.candidate == found.best == "slm" and found.learned and not found.tentative
    assert set(found.comparisons) == {"majority", "linear", "embedding"}
    assert all(one.worse and one.difference.n == 1000 and "Holm" in one.test for one in found.comparisons.values())
    for part in ("Best: slm, accuracy 0.8", "Chosen: the best itself", "embedding (0.7", "is worse", "1,000 rows",
                 "interval", "p < 0.001", "Holm"):
        assert part in found.rule


def test_the_cheapest_of_equals_wins() -> None:
    y, (good, poor) = answers(1000, (.85, .7), np.random.default_rng(0))
    other = good.copy()
    missed = np.flatnonzero(good != y)[:3]
    other[missed] = y[missed]  # a hair better
    decided = {"slm": other, "embedding": good, "linear": poor}
    logits = {name: np.eye(3, dtype=np.float32)[d] for name, d in decided.items()}
    found = choose(TASK, y, logits, RANKS)
    assert found.candidate == "embedding" and "which is cheaper and" in found.rule and "linear" in found.rule
    assert not found.comparisons["embedding"].worse and found.comparisons["linear"].worse


def test_exactly_equal_candidates() -> None:
    y, (good,) = answers(200, (.8,), np.random.default_rng(0))
    logits = {name: np.eye(3, dtype=np.float32)[good] for name in ("slm", "linear")}
    found = choose(TASK, y, logits, RANKS)
    assert found.candidate == found.best == "linear" and "answered alike on every row" in found.rule


def test_few_rows_do_not_let_a_much_poorer_candidate_win() -> None:
    kept = 0
    for seed in range(8):
        careful = pick(60, .78, .84, .90, seed=seed, share=(.34, .33, .33))
        chosen = careful.comparisons.get(careful.candidate)
        assert chosen is None or chosen.difference.value <= .02 + 1e-9
        blind = pick(60, .78, .84, .90, seed=seed, share=(.34, .33, .33), margin=1.0)
        if blind.candidate != careful.candidate:  # the test alone would have taken what loses more than 0.02
            kept += 1
            assert blind.comparisons[blind.candidate].difference.value > .02
            assert f"{blind.candidate} (0." in careful.rule
            assert "is not proven worse, but is" in careful.rule and "more than 0.02" in careful.rule
    assert kept >= 1


def test_the_majority_never_wins_where_something_was_learned() -> None:
    found = pick(40, .85, .85, .85)
    assert found.learned and found.candidate != "majority" and not found.tentative


def test_nothing_learned_is_said() -> None:
    rng = np.random.default_rng(3)
    y = rng.choice(3, 120, p=(.65, .3, .05))
    guesses = rng.choice(3, 120, p=(.65, .3, .05))
    decided = {"majority": np.zeros(120, int), "slm": guesses}
    logits = {name: np.eye(3, dtype=np.float32)[d] for name, d in decided.items()}
    found = choose(TASK, y, logits, RANKS)  # macro-F1, in which guessing beats the majority
    assert not found.learned and found.tentative and found.candidate == found.best
    assert "do not show that anything was learned" in found.rule and "label more rows" in found.rule


def test_eight_rows_are_tentative() -> None:
    found = pick(8, .9, .9)
    assert found.tentative and found.candidate in NAMES


def test_one_candidate() -> None:
    y, (good,) = answers(100, (.9,), np.random.default_rng(0))
    found = choose(TASK, y, {"slm": np.eye(3, dtype=np.float32)[good]}, RANKS)
    assert found.candidate == "slm" and found.comparisons == {} and found.detectable is None
    assert found.rule.startswith("There was one candidate, slm: macro-F1 0.")


def test_multi_label_and_empty() -> None:
    task = Classify(("a", "b"), multi_label=True)
    rng = np.random.default_rng(0)
    y = (rng.random((300, 2)) < .3).astype(np.int64)
    logits = {"majority": np.full((300, 2), -1, np.float32),
              "linear": (2 * y - 1 + rng.normal(0, .8, y.shape)).astype(np.float32)}
    assert choose(task, y, logits, RANKS).candidate == "linear"
    with pytest.raises(ValueError, match="no candidates"):
        choose(task, y, {}, {})
    broken = {"linear": np.full((300, 2), np.inf, np.float32)}
    with pytest.raises(DataError, match="linear gave scores that are not numbers for 300 of 300"):
        choose(task, y, broken, RANKS)


def test_detectable_is_what_the_test_finds_four_times_in_five() -> None:
    detectable = pick(300, .70, .80).detectable
    assert detectable is not None and .05 < detectable < .11


@pytest.mark.slow
def test_the_margin_costs_little_and_saves_much() -> None:
    blind, cheap = rule_loss(90, (.74, .78, .82, .86), 60, margin=1.0)
    careful, rank = rule_loss(90, (.74, .78, .82, .86), 60, margin=.02)
    assert careful < .75 * blind and cheap < rank < 3
