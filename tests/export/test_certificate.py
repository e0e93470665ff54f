"""Answers to held-out rows, compared: figures, limits, and what is told."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from seedbed.export.certificate import LIMITS, Certificate, Check, Held
from seedbed.export.labels import Labels, divergence
from seedbed.tasks.classify import Classify

TASK = Classify(("bad", "good", "mixed"))
YARD = Labels(TASK, 1.0)


def rows(count: int, wrong: int = 0) -> tuple[np.ndarray, list[str]]:
    """Logits that give each row its label surely, the first `wrong` of them another one."""
    labels = [i % 3 for i in range(count)]
    given = [(one + 1) % 3 if i < wrong else one for i, one in enumerate(labels)]
    return np.eye(3, dtype=np.float32)[given] * 8, [TASK.labels[i] for i in labels]


def test_what_is_lost_is_bounded_by_the_rows() -> None:
    truth, targets = rows(300)
    mine, _ = rows(300, wrong=6)
    checks, loss = YARD.compare(mine, Held(targets, targets, 0.05, 0.95, truth), "int8")
    assert [round(check.found, 4) for check in checks[1:]] == [0.98, 0.0391]
    assert [check.passed for check in checks] == [False, True, True]  # six rows turned over are far off
    assert (loss.n, loss.before, loss.after) == (300, 1.0, 0.98)
    assert loss.scores["macro_f1"][1].value == pytest.approx(0.98, abs=0.001)
    worse, _ = YARD.compare(rows(300, wrong=16)[0], Held(targets, targets, 0.05, 0.95, truth), "int4")
    assert worse[2].told == f"loss of accuracy, at 95%: {worse[2].found:.4g}, at most 0.05"
    assert worse[2].found == pytest.approx(0.0799, abs=0.0005) and not worse[2].passed


def test_a_model_that_errs_elsewhere_loses_nothing_and_yet_does_not_agree() -> None:
    truth, targets = rows(300, wrong=30)
    mine = np.concatenate([rows(270)[0], rows(30, wrong=30)[0]])
    checks, loss = YARD.compare(mine, Held(targets, targets, 0.1, 0.95, truth), "int8")
    assert loss.before == loss.after == 0.9
    assert checks[1].found == 0.8 and not checks[1].passed
    assert 0.02 < loss.bound < 0.06 and checks[2].passed


def test_several_labels_a_text_are_right_together_or_not() -> None:
    task = Classify(("a", "b"), multi_label=True)
    truth = np.array([[5, 5], [5, -5], [-5, -5], [-5, 5]] * 30, np.float32)
    targets = [["a", "b"], ["a"], [], ["b"]] * 30
    mine = truth.copy()
    mine[0] = [5, -5]
    _, loss = Labels(task, 1.0).compare(mine, Held([""] * 120, targets, 0.05, 0.95, truth), "fp32")
    assert (loss.before, loss.after) == (1.0, pytest.approx(119 / 120))


def test_divergence_is_none_of_the_same_and_more_of_the_further() -> None:
    truth = TASK.probabilities(rows(9)[0], 4.0)
    near, far = (TASK.probabilities(rows(9)[0], heat) for heat in (4.4, 8.0))
    assert divergence(TASK, truth, truth) == 0
    assert 0 < divergence(TASK, truth, near) < divergence(TASK, truth, far)
    several = Classify(("a", "b", "c"), multi_label=True)
    assert divergence(several, truth, truth) == pytest.approx(0, abs=1e-9) and divergence(several, truth, far) > 0


def test_what_is_not_a_number_never_passes() -> None:
    for least in (True, False):
        assert not Check(name="x", n=1, found=float("nan"), limit=1, least=least).passed
    failing = Check(name="x", n=1, found=0, limit=1, note="the runtime refuses it")
    made = Certificate(precision="int8", checks=[Check(name="y", n=1, found=0.5, limit=1), failing])
    assert made.failed == [failing] and not made.passed
    assert (failing.told, made.figure("y"), made.figure("z")) == ("x: the runtime refuses it", 0.5, None)


def test_limits_widen_as_bits_get_fewer() -> None:
    some = [LIMITS[name] for name in ("fp32", "bf16", "int8", "int4")]
    for one, other in pairwise(some):
        assert one.probability < other.probability and one.divergence < other.divergence
        assert one.agreement > other.agreement
