from __future__ import annotations

import time

import numpy as np
import pytest
from coverage_study import POPULATIONS, coverage, unseen
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.metrics import log_loss as sklearn_log_loss

from seedbed.errors import DataError, UserError
from seedbed.evaluate.scores import score
from seedbed.tasks.classify import Classify

THREE = Classify(("bad", "fair", "good"))


def single(rows: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, width, rows)
    return y, (2 * np.eye(width)[y] + rng.normal(size=(rows, width))).astype(np.float32)


def several(rows: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (rng.random((rows, width)) < 0.3).astype(np.int64)
    return y, (2 * y - 1 + rng.normal(0, 1.2, (rows, width))).astype(np.float32)


@pytest.mark.parametrize("rows", [12, 300])
def test_values_are_scikit_learns(rows: int) -> None:
    y, logits = single(rows, 3)
    found, decided = score(THREE, y, logits, "test"), logits.argmax(1)
    assert found.n == found.accuracy.n == rows and found.score == found.macro_f1
    assert found.macro_f1.value == pytest.approx(f1_score(y, decided, average="macro"))
    assert found.micro_f1.value == pytest.approx(f1_score(y, decided, average="micro"))
    assert found.accuracy.value == pytest.approx(accuracy_score(y, decided))
    assert found.log_loss.value == pytest.approx(sklearn_log_loss(y, THREE.probabilities(logits), labels=[0, 1, 2]),
                                                 rel=1e-5)
    for i, one in enumerate(found.per_class):
        assert one.label == THREE.labels[i] and one.support == (y == i).sum() == one.recall.n
        assert one.precision.n == (decided == i).sum()
        assert one.precision.value == pytest.approx(precision_score(y == i, decided == i))
        assert one.recall.value == pytest.approx(recall_score(y == i, decided == i))
        assert one.f1.value == pytest.approx(f1_score(y == i, decided == i))
    assert sum(map(sum, found.confusion)) == rows
    assert [row[i] for i, row in enumerate(found.confusion)] == [((y == i) & (decided == i)).sum() for i in range(3)]


def test_multi_label_values_are_scikit_learns() -> None:
    task = Classify(tuple("abcd"), multi_label=True, metric="micro_f1")
    y, logits = several(200, 4)
    found, decided = score(task, y, logits, "validation"), (logits >= 0).astype(int)
    assert found.score == found.micro_f1 and found.confusion == []
    assert found.macro_f1.value == pytest.approx(f1_score(y, decided, average="macro"))
    assert found.micro_f1.value == pytest.approx(f1_score(y, decided, average="micro"))
    assert found.accuracy.value == pytest.approx(accuracy_score(y, decided))
    assert found.micro_f1.low < found.micro_f1.value < found.micro_f1.high


def test_intervals_hold_their_value_and_stay_open_at_the_ends() -> None:
    y, logits = np.array([0] * 20 + [1] * 10 + [2] * 3), np.zeros((33, 3), np.float32)
    logits[:, 0] = 1  # always the first
    found = score(THREE, y, logits, "test")
    for one in (found.macro_f1, found.accuracy, found.micro_f1, found.log_loss,
                *(e for c in found.per_class for e in (c.precision, c.recall, c.f1))):
        assert one.low <= one.value <= one.high
    rare = found.per_class[2]
    assert rare.recall.value == 0 and rare.recall.n == 3 and rare.recall.tentative
    assert rare.recall.high > 0.5 and rare.f1.high > 0.5  # three misses do not prove that it never hits
    perfect = score(THREE, y, np.eye(3, dtype=np.float32)[y] * 9, "test")
    assert perfect.macro_f1.value == perfect.macro_f1.high == 1 and 0.5 < perfect.macro_f1.low < 0.95


def test_a_class_without_examples_says_nothing_and_does_not_count() -> None:
    y = np.array([0, 1] * 10)
    found = score(THREE, y, np.eye(3, dtype=np.float32)[y], "test")
    absent = found.per_class[2]
    assert (absent.support, absent.f1.n, absent.f1.low, absent.f1.high) == (0, 0, 0, 1)
    assert found.macro_f1.value == 1
    given = np.eye(3, dtype=np.float32)[np.where(np.arange(20) == 0, 2, y)]
    assert score(THREE, y, given, "test").macro_f1.value == pytest.approx(
        f1_score(y, given.argmax(1), average="macro"))


def test_multi_label_without_any_label_is_unknown_not_perfect() -> None:
    task = Classify(("a", "b"), multi_label=True)
    found = score(task, np.zeros((9, 2), np.int64), np.full((9, 2), -3, np.float32), "test")
    assert (found.macro_f1.low, found.macro_f1.high) == (found.micro_f1.low, found.micro_f1.high) == (0, 1)
    assert found.accuracy.value == 1


def test_one_row_and_same_seed() -> None:
    y, logits = single(1, 3)
    assert score(THREE, y, logits, "test").accuracy.n == 1
    y, logits = single(80, 3)
    assert score(THREE, y, logits, "test", seed=3) == score(THREE, y, logits, "test", seed=3)


def test_temperature_changes_the_loss_only() -> None:
    y, logits = single(100, 3)
    cold, warm = score(THREE, y, logits * 20, "test"), score(THREE, y, logits * 20, "test", temperature=10)
    assert warm.log_loss.value < cold.log_loss.value and warm.macro_f1 == cold.macro_f1


def test_unusable_input_is_refused() -> None:
    y, logits = single(10, 3)
    with pytest.raises(DataError, match="no rows"):
        score(THREE, y[:0], logits[:0], "test")
    broken = logits.copy()
    broken[2:5] = np.nan
    with pytest.raises(DataError, match="not numbers for 3 of 10 rows"):
        score(THREE, y, broken, "test")
    with pytest.raises(UserError, match="bleu"):
        score(Classify(("a", "b", "c"), metric="bleu"), y, logits, "test")
    with pytest.raises(ValueError, match="expected"):
        score(THREE, y, logits[:5], "test")


def test_ten_thousand_rows_and_many_classes_are_quick() -> None:
    task = Classify(tuple(f"{i:02}" for i in range(40)))
    y, logits = single(10_000, 40)
    begun = time.process_time()
    score(task, y, logits, "test")
    assert time.process_time() - begun < 5  # 0.2 s on a free core; wide, for the machine may be busy


@pytest.mark.parametrize(("name", "rows"), [
    ("2 even classes, accuracy 0.80", 50), ("3 classes, one rare (5 %)", 50), ("3 classes, one rare (5 %)", 100),
    ("3 classes, rare one, nearly perfect", 50), ("3 classes, rare one, nearly perfect", 400),
    ("5 classes, Zipf", 100), ("8 classes, rarest 2 %", 200)])
def test_intervals_hold_the_truth_as_often_as_they_say(name: str, rows: int) -> None:
    held = coverage(POPULATIONS[name], rows, 500, seed=1)
    assert 0.92 <= held["macro_f1"] <= 0.985 and 0.92 <= held["accuracy"] <= 0.985


@pytest.mark.parametrize("width", [2, 3, 5])
def test_and_on_populations_that_the_method_was_not_chosen_on(width: int) -> None:
    held = [coverage(unseen(width, i), 60, 60, seed=i)["macro_f1"] for i in range(10)]
    assert 0.92 <= np.mean(held) <= 0.985


def test_the_percentile_bootstrap_would_not() -> None:
    assert coverage(POPULATIONS["3 classes, rare one, nearly perfect"], 50, 300)["percentile"] < 0.8
