from __future__ import annotations

import numpy as np
import pytest

from seedbed.evaluate.abstain import abstention, risk_coverage
from seedbed.tasks.classify import Classify

TWO = Classify(("no", "yes"))


def drawn(rows: int, seed: int, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(0, spread, rows)
    y = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(np.int64)
    return y, np.stack([np.zeros(rows), z], axis=1).astype(np.float32)


def test_risk_and_coverage_end_at_all_rows() -> None:
    y, logits = drawn(1000, 0)
    points = risk_coverage(TWO, y, logits, 1.0)
    assert len(points) == 50 and points[-1].coverage == 1 and points[-1].risk is not None
    assert points[-1].risk.value == pytest.approx((logits.argmax(1) != y).mean())
    assert [p.coverage for p in points] == sorted({p.coverage for p in points})
    for point in points:
        answered = TWO.confidence(TWO.probabilities(logits)) >= np.float32(point.threshold)
        assert point.risk is not None and point.risk.n == answered.sum() == round(point.coverage * 1000)
        assert point.risk.low <= point.risk.value <= point.risk.high
    assert points[4].risk is not None and points[4].risk.value < points[-1].risk.value


def test_equal_confidences_are_one_point() -> None:
    points = risk_coverage(TWO, np.arange(60) % 2, np.tile(np.array([[0, 1]], np.float32), (60, 1)), 1.0)
    assert len(points) == 1 and points[0].coverage == 1
    assert len(risk_coverage(TWO, np.array([1]), np.array([[0, 1]], np.float32), 1.0)) == 1


def test_the_threshold_keeps_its_promise() -> None:
    """Over many validation sets the true error exceeds the target in at most 5 % of them."""
    _, many = drawn(400_000, 99)
    z = np.abs(many[:, 1])
    error, sure = 1 / (1 + np.exp(z)), TWO.confidence(TWO.probabilities(many))
    broken = found = 0
    for seed in range(200):
        threshold = abstention(TWO, drawn(300, seed), drawn(20, seed + 1000), 1.0, target_error=.15).threshold
        if threshold is not None:
            found += 1
            broken += error[sure >= threshold].mean() > .15
    assert found > 120 and broken <= 10


def test_what_it_gives_on_test_is_measured() -> None:
    validation, test = drawn(2000, 0), drawn(1000, 1)
    found = abstention(TWO, validation, test, 1.0, target_error=.1)
    assert found.threshold is not None and found.coverage is not None and found.error is not None
    answered = TWO.confidence(TWO.probabilities(test[1])) >= np.float32(found.threshold)
    assert found.coverage.n == 1000 and found.coverage.value == answered.mean() and found.error.n == answered.sum()
    assert found.error.value < .12 and "answered validation rows are wrong (of 2000)" in found.reason


def test_a_good_model_answers_everything() -> None:
    y = np.arange(400) % 2
    part = (y, np.eye(2, dtype=np.float32)[y] * 5)
    found = abstention(TWO, part, part, 1.0)
    assert found.threshold == 0 and found.coverage is not None and found.coverage.value == 1


def test_too_few_rows_or_too_many_errors_say_so() -> None:
    few = abstention(TWO, drawn(20, 0), drawn(20, 1), 1.0)
    assert few.threshold is few.coverage is few.error is None and "even without any error it takes 29" in few.reason
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 2, 500), rng.normal(size=(500, 2)).astype(np.float32))
    poor = abstention(TWO, noise, noise, 1.0)
    assert poor.threshold is None and "No threshold is proven to give" in poor.reason


def test_multi_label_counts_whole_rows() -> None:
    task = Classify(("a", "b"), multi_label=True)
    y = np.array([[1, 0], [1, 1], [0, 0], [0, 1]] * 50)
    logits = (y * 2 - 1).astype(np.float32) * 4
    logits[::4, 1] = 4  # one label wrong: the row is wrong
    points = risk_coverage(task, y, logits, 1.0)
    assert points[-1].risk is not None and points[-1].risk.value == .25
