from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from coverage_study import TASK, alarms, answers

from seedbed.evaluate.compare import chance_test, compare_decisions
from seedbed.evaluate.result import Comparison
from seedbed.tasks.classify import Classify


def compare(*decided: np.ndarray, task: Classify = TASK, **how: Any) -> Comparison:
    return compare_decisions(task, *decided, **how)[0]


def test_the_same_answers_are_not_worse() -> None:
    y, (one,) = answers(50, (.7,), np.random.default_rng(0))
    found = compare(y, one, one, best="x")
    assert found.best == "x" and found.difference.value == 0 and found.difference.n == 50
    assert found.p_value == 1 and not found.worse


def test_a_large_loss_is_found_and_said() -> None:
    y, (good, poor) = answers(300, (.85, .60), np.random.default_rng(0))
    found = compare(y, good, poor, best="good", metric="accuracy")
    assert found.worse and found.p_value < .001 and found.difference.low > .1
    assert found.difference.value == pytest.approx((good == y).mean() - (poor == y).mean())
    assert "5,000" in found.test and "one-sided" in found.test
    back = compare(y, poor, good, best="poor", metric="accuracy")
    assert not back.worse and back.p_value > .99 and back.difference.value == pytest.approx(-found.difference.value)


def test_accuracy_agrees_with_the_sign_test() -> None:
    from scipy.stats import binomtest
    y = np.zeros(40, int)
    one, two = np.zeros(40, int), np.zeros(40, int)
    two[:9], one[9:11] = 1, 1  # nine rows only the first has right, two only the second
    exact = binomtest(9, 11, .5, alternative="greater").pvalue
    found = compare(y, one, two, best="x", metric="accuracy", resamples=20_000)
    assert found.p_value == pytest.approx(exact, abs=.006)


def test_multi_label() -> None:
    task = Classify(("a", "b"), multi_label=True)
    rng = np.random.default_rng(0)
    y = (rng.random((400, 2)) < .4).astype(np.int64)
    good, poor = ((2 * y - 1 + rng.normal(0, s, y.shape) > 0).astype(np.int64) for s in (.7, 2.))
    for metric in ("macro_f1", "micro_f1", "accuracy"):
        found = compare(y, good, poor, task=task, best="good", metric=metric)
        assert found.worse and found.difference.low > 0


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_false_alarms_are_as_rare_as_promised(metric: str) -> None:
    worse, held = alarms(100, (.75, .75), 400, metric)
    assert worse <= .08 and .92 <= held <= .985


def test_power() -> None:
    few, many = (alarms(rows, (.80, .70), 200, "accuracy")[0] for rows in (50, 400))
    assert few < .75 < .95 < many


def test_chance_is_told_from_learning() -> None:
    rng = np.random.default_rng(0)
    y, (learned,) = answers(80, (.8,), rng)
    guesses = rng.choice(3, 80, p=(.65, .3, .05))
    assert chance_test(TASK, y, learned, "macro_f1", rng) < .01
    assert chance_test(TASK, y, guesses, "macro_f1", rng) > .05
    assert chance_test(TASK, y, np.zeros(80, np.int64), "macro_f1", rng) == 1
