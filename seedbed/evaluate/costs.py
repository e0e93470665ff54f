"""What a model costs: time for an answer or for a token, energy to train."""

from __future__ import annotations

from ..records import Record


class Speed(Record):
    """Latency of one text at a time in milliseconds, and texts per second in bulk."""

    median_ms: float
    p95_ms: float
    texts_per_second: float
    texts: int
    """Texts timed in bulk."""
    calls: int = 0
    """Texts timed one at a time."""
    median_low_ms: float = 0.0
    """95 % interval of the median over calls."""
    median_high_ms: float = 0.0


class Pace(Record):
    """How fast a model that writes is, in tokens a second."""

    reads: float
    """Of a prompt."""
    writes: float
    """One after the other."""


class Energy(Record):
    """Energy to train. `source` says how it was known: processor counters, or an estimate and by what."""

    watt_hours: float
    source: str
