from __future__ import annotations

import time

import pytest

from seedbed.evaluate.speed import measure_speed


def test_latency_and_throughput() -> None:
    sizes: list[int] = []

    def predict(texts: list[str]) -> None:
        sizes.append(len(texts))
        time.sleep(.002 + .0001 * len(texts))

    begun = time.perf_counter()
    found = measure_speed(predict, ["a", "b", "c"], seconds=.6)
    assert time.perf_counter() - begun < 3
    assert 2 <= found.median_low_ms <= found.median_ms <= found.median_high_ms and found.median_ms <= found.p95_ms
    assert found.calls == sizes.count(1) - 3  # the warm-up is not counted
    assert found.texts_per_second > 1000 and found.texts >= 64 and max(sizes) > 32


def test_a_slow_model_still_gets_a_figure_and_few_calls() -> None:
    calls: list[int] = []

    def predict(texts: list[str]) -> None:
        calls.append(len(texts))
        time.sleep(.15)

    found = measure_speed(predict, ["a"], seconds=.1)
    assert len(calls) == 3 and found.calls == found.texts == 1 and found.median_ms >= 150


def test_no_texts() -> None:
    with pytest.raises(ValueError, match="no texts"):
        measure_speed(lambda texts: None, [])
