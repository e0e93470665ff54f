"""What an adapter changes, where it lies apart from its base: as much as in the model that both were merged to?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ..models.paired import said_in
from ..tasks.classify import Floats
from .writer_reference import Reference, logs

if TYPE_CHECKING:
    from .writer_certificate import Runtime

Switch = Callable[[bool], None]
ROWS, LAST = 4, 64
"""Rows of the run, where an adapter changes most, and tokens at the end of each and of our own texts."""


def asked(reference: Reference) -> list[list[int]]:
    """Texts on which the change is compared."""
    texts = reference.texts()
    return [texts["short"], texts["medium"], *(row.within(reference.context).ids for row in reference.rows[:ROWS])]


def places(reference: Reference) -> int:
    """Tokens of them that are compared."""
    return sum(min(LAST, said_in(ids)) for ids in asked(reference))


@contextmanager
def off(switch: Switch) -> Iterator[None]:
    """Within it the adapter is off."""
    switch(False)
    try:
        yield
    finally:
        switch(True)


def otherwise(runtime: Runtime, switch: Switch, reference: Reference, least: float) -> float:
    """How much of what the adapter changes is another change in the runtime, as a share: 1 where it is not applied,
    or applied twice; 0.25 where half of it is.

    Both are measured as a divergence: half the variance of the change of the log-probabilities. What rounding makes
    of the base is in both and falls out.

    Args:
        least: nats, below which a change drowns in what rounding makes of activations.
    """
    assert reference.apart is not None
    texts = asked(reference)
    sizes = [min(LAST, said_in(ids)) for ids in texts]

    def read(model: Reference | Runtime) -> list[Floats]:
        return [logs(model.logits(ids, size)) for ids, size in zip(texts, sizes, strict=True)]
    on = read(runtime)
    with off(switch):
        without = read(runtime)
    whole, base = read(reference), read(reference.apart.base)
    wanted = other = 0.0
    for p, q, have, had in zip(whole, base, on, without, strict=True):
        wanted += _spread(p, p - q)
        other += _spread(p, (have - had) - (p - q))
    return other / max(wanted, least * sum(sizes))


def _spread(p: Floats, change: Floats) -> float:
    """Half the variance of a change of log-probabilities, over all places. [places, words] each"""
    chances = np.exp(p)
    return float(((chances * change ** 2).sum(-1) - (chances * change).sum(-1) ** 2).sum() / 2)


def again(runtime: Runtime, switch: Switch, ids: Sequence[int], last: int) -> Floats:
    """Logits after the adapter was taken off, used so, and put on again."""
    with off(switch):
        runtime.logits(ids, last)
    return runtime.logits(ids, last)
