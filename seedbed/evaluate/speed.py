"""How fast a model answers: one text at a time, and many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from time import perf_counter
from typing import Any

import numpy as np

from .costs import Speed

WARM_UP, CALLS = 3, 500
FIRST_BULK, LARGEST_BULK = 32, 2048


def measure_speed(predict: Callable[[list[str]], Any], texts: Sequence[str], *, seconds: float = 2.0) -> Speed:
    """Latency of single texts and throughput of many, after a warm-up, in about `seconds`.

    Half the time goes to single texts in turn, at most 500. Then lists that double in size while they fit the time;
    the rate is that of the largest size that ran. A call that takes longer than the time left is never started
    knowingly, save the first of each kind, so that a slow model still gets a figure. Percentiles as in MLPerf
    inference (Reddi et al. 2020); the median has the order-statistic interval (Conover 1999, section 3.2).

    Args:
        predict: answers a list of texts; what it returns is not looked at.
        texts: real texts, for speed depends on length.
        seconds: time to spend, without the warm-up.

    Raises:
        ValueError: no texts.
    """
    if not texts:
        raise ValueError("no texts to measure speed with")
    begun = perf_counter()
    for text in islice(cycle(texts), WARM_UP):
        predict([text])
        if perf_counter() - begun > seconds / 2:
            break
    times = []
    until = perf_counter() + seconds / 2
    for text in islice(cycle(texts), CALLS):
        begun = perf_counter()
        predict([text])
        times.append(perf_counter() - begun)
        if perf_counter() >= until:
            break
    count, taken = _bulk(predict, texts, seconds / 2, float(np.median(times)))
    latency = np.sort(times) * 1000
    half = 1.96 * len(times) ** 0.5 / 2
    low, high = (int(np.clip(round(len(times) / 2 + side), 0, len(times) - 1)) for side in (-half - 0.5, half - 0.5))
    return Speed(median_ms=float(np.median(latency)), p95_ms=float(np.quantile(latency, 0.95)),
                 texts_per_second=count / max(taken, 1e-9), texts=count, calls=len(times),
                 median_low_ms=float(latency[low]), median_high_ms=float(latency[high]))


def _bulk(predict: Callable[[list[str]], Any], texts: Sequence[str], seconds: float,
          one: float) -> tuple[int, float]:
    """Texts and seconds of the largest list size that fits. `one`: seconds that a text takes alone."""
    source = cycle(texts)
    size = max(1, min(FIRST_BULK, int(seconds / max(one, 1e-9))))
    left, count, taken = seconds, 0, 0.0
    while True:
        batch = list(islice(source, size))
        begun = perf_counter()
        predict(batch)
        last = perf_counter() - begun
        left -= last
        count, taken = count + size, taken + last
        if size < LARGEST_BULK and 2 * last <= left:
            size, count, taken = min(2 * size, LARGEST_BULK), 0, 0.0
        elif last > left:
            return count, taken
