from __future__ import annotations

import numpy as np
import pytest

from seedbed.evaluate.calibrate import calibration, fit_temperature
from seedbed.tasks.classify import Classify

THREE = Classify(("a", "b", "c"))


def drawn(rows: int, factor: float, seed: int, multi: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Targets drawn from softmax (sigmoid) of z, and z times the factor as logits: the right temperature."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, (rows, 3))
    if multi:
        return (rng.random((rows, 3)) < 1 / (1 + np.exp(-z))).astype(np.int64), (z * factor).astype(np.float32)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return (p.cumsum(1) > rng.random((rows, 1))).argmax(1), (z * factor).astype(np.float32)


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("factor", [.5, 1, 3])
def test_the_temperature_is_found(factor: float, multi: bool) -> None:
    task = Classify(THREE.labels, multi)
    assert fit_temperature(task, *drawn(4000, factor, 0, multi)) == pytest.approx(factor, rel=.08)


def test_few_rows_and_odd_logits_stay_near_one() -> None:
    assert fit_temperature(THREE, np.zeros(0, int), np.zeros((0, 3), np.float32)) == 1
    assert fit_temperature(THREE, np.array([0]), np.array([[9, 0, 0]], np.float32)) == pytest.approx(1, abs=.1)
    perfect = np.arange(30) % 3
    assert .1 < fit_temperature(THREE, perfect, np.eye(3, dtype=np.float32)[perfect] * 5) <= 1
    assert fit_temperature(THREE, perfect, np.ones((30, 3), np.float32)) == pytest.approx(1, abs=1e-3)
    wrong = (perfect + 1) % 3
    assert 1 < fit_temperature(THREE, wrong, np.eye(3, dtype=np.float32)[perfect] * 1000) < 21


@pytest.mark.parametrize("multi", [False, True])
def test_calibration_before_and_after(multi: bool) -> None:
    task = Classify(THREE.labels, multi)
    temperature = fit_temperature(task, *drawn(1500, 3, 0, multi))
    found = calibration(task, *drawn(1500, 3, 1, multi), temperature)
    assert found.ece_before.low > .05 > found.ece_after.value
    assert found.ece_before.low <= found.ece_before.value <= found.ece_before.high
    assert found.ece_before.n == 1500 and len(found.bins) == 10
    assert sum(one.n for one in found.bins) == 1500 * (3 if multi else 1)
    assert [one.confidence for one in found.bins] == sorted(one.confidence for one in found.bins)
    assert all(one.accuracy is not None and one.accuracy.n == one.n for one in found.bins)


def test_a_calibrated_model_is_not_called_miscalibrated() -> None:
    reached = [calibration(THREE, *drawn(200, 1, seed), 1.0).ece_after.low == 0 for seed in range(60)]
    assert sum(reached) >= 54


@pytest.mark.parametrize("rows", [100, 400])
def test_the_interval_holds_the_true_error(rows: int) -> None:
    y, logits = drawn(20_000, 3, 7)
    truth = calibration(THREE, y, logits, 1.0).ece_after.value
    held = [(e := calibration(THREE, *drawn(rows, 3, seed), 1.0).ece_after).low <= truth <= e.high
            for seed in range(60)]
    assert np.mean(held) >= .88


def test_constant_confidence_is_one_bin_and_tiny_sets_work() -> None:
    y = np.arange(100) % 3
    found = calibration(THREE, y, np.tile(np.array([[1, 0, 0]], np.float32), (100, 1)), 1.0)
    assert len(found.bins) == 1 and found.bins[0].n == 100
    assert len(calibration(THREE, y[:3], np.eye(3, dtype=np.float32)[y[:3]], 1.0).bins) == 1
