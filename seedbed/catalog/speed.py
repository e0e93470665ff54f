"""How fast this machine is: a probe of under three seconds, kept in the home folder, and what follows for a model."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..machine import BF16_FEATURES, machine
from ..records import Record
from ..settings import settings
from .architecture import parameters
from .cards import Card
from .memory import TABLE_BYTES, Precision, cache, shape, weights

SIDE = 1024
"""Side of the probe's matrices: 4 MB each, beyond the second-level cache."""
SWEEP = 48 * 1024**2
"""Values (fp32) in the bandwidth probe's array: 192 MB, beyond any processor's cache."""
SECONDS = 0.8
"""Time for each of the two measurements."""
READING_SHARE = {"fp32": 0.35, "bf16": 0.25}
"""Measured share of the matrix speed that a whole model reaches, 2 cores with AMX. bf16: OpenVINO reads SmolLM2-135M
at 2,300 to 2,700 tokens/s where matrices ran at 1,800 to 2,100 GFLOP/s. fp32: MiniLM reaches 21 % in torch, a LoRA
step of SmolLM2-135M 42 %, where matrices ran at 279 GFLOP/s."""
DECODE_SHARE = 0.4
"""Measured share of the memory speed that writing reaches, at 18 GB/s: 67 tokens/s of 86 MB each (32 %) for
SmolLM2-135M at 4 bits, 52 of 135 MB (39 %) at 8 bits, 58 % for a 208M model."""


class Speed(Record):
    """What the probe found."""

    processor: str
    cores: int
    features: tuple[str, ...]
    fp32_gflops: float
    bf16_gflops: float | None = None
    """None: not measured, since numpy has no bf16; the room `models` may add it."""
    memory_gb_s: float
    """Bytes read a second, in 10^9."""
    measured: str
    """UTC, ISO 8601."""

    @property
    def bf16(self) -> bool:
        """The processor can compute in bf16, as far as its instructions tell."""
        return self.bf16_gflops is not None or bool(BF16_FEATURES & set(self.features))


def _file() -> Path:
    return settings().home / "probe.json"


def saved() -> Speed | None:
    """The kept record if it is of this processor; None if there is none or the machine changed."""
    try:
        kept = Speed.model_validate_json(_file().read_bytes())
    except (OSError, ValidationError):
        return None
    here = machine()
    same = (kept.processor, kept.cores, kept.features) == (here.processor, here.cores, here.features)
    return kept if same else None


def save(speed: Speed) -> None:
    """Keep a record; a reader never sees half of it, and two writers do not meet."""
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(speed.model_dump_json(indent=1) + "\n")
    partial.replace(path)


def probe(*, again: bool = False) -> Speed:
    """The speed of this machine: the kept record, or a new measurement when there is none.

    Other work on the machine makes the figures lower. The best of several rounds is taken. It is not kept where the
    home folder cannot be written.
    """
    if not again and (kept := saved()):
        return kept
    import numpy as np
    from threadpoolctl import threadpool_limits

    here = machine()
    with threadpool_limits(limits=here.cores):
        matrix = np.full((SIDE, SIDE), 0.5, np.float32)
        product = np.empty_like(matrix)
        gflops = 2 * SIDE**3 / _best(lambda: np.matmul(matrix, matrix, out=product)) / 1e9
        values = np.ones(SWEEP, np.float32)
        gigabytes = values.nbytes / _best(lambda: values.dot(values)) / 1e9
    speed = Speed(processor=here.processor, cores=here.cores, features=here.features, fp32_gflops=round(gflops, 1),
                  memory_gb_s=round(gigabytes, 1), measured=datetime.now(UTC).isoformat(timespec="seconds"))
    with contextlib.suppress(OSError):
        save(speed)
    return speed


def _best(work: Callable[[], Any]) -> float:
    """Seconds of the fastest round; the first one warms up."""
    work()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def prefill(card: Card, precision: Precision, speed: Speed) -> float:
    """Tokens read a second, predicted: 2 operations a parameter of the layers (look-ups of a table are free).

    Quantized weights compute in bf16 where it was measured.
    """
    reached = READING_SHARE["fp32"] * speed.fp32_gflops
    if precision != "fp32" and speed.bf16_gflops:
        reached = max(reached, READING_SHARE["bf16"] * speed.bf16_gflops)
    return reached * 1e9 / (2 * parameters(shape(card)).linear)


def decode(card: Card, precision: Precision, speed: Speed, *, context: int = 1024) -> float | None:
    """Tokens written a second, predicted: each reads all weights and the cache once. None for an encoder."""
    a = shape(card)
    if not a.generates:
        return None
    counts = parameters(a)
    unread = counts.extra + (0 if a.tied_embeddings else counts.tables)  # of the input table only one row is read
    read = weights(card, precision) - unread * TABLE_BYTES[precision] + cache(card, precision, context=context)
    return DECODE_SHARE * speed.memory_gb_s * 1e9 / read
