"""How long a training will take, told by its first seconds: two batches are run and timed, nothing is learned."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..models.runtime import settle
from .boundary import Boundary
from .lesson import Late, Session
from .loop import Batches

LEAST_EPOCHS = 0.5
"""A training that the time budget would end before so much of the first epoch is not begun."""
FORWARD = 1 / 3
"""Share of a step's time that its forward pass takes: backward does about twice as much."""


@dataclass(frozen=True)
class Forecast:
    """Predicted seconds.

    Args:
        start: until the steps begin: loading, this probe, and the frozen layers of all texts.
        epoch: one pass over the training texts, with its validation.
        end: from the last step to a model that answers.
    """

    start: float
    epoch: float
    end: float = 0.0

    def seconds(self, epochs: float) -> float:
        """Of a whole training with that many passes."""
        return self.start + epochs * self.epoch + self.end


def forecast(parameters: dict[str, Tensor], boundary: Boundary, loss: Callable[[list[int]], Tensor], batches: Batches,
             lesson: Session, *, begun: float, epochs: int, judged: int, read: int = 0) -> Forecast:
    """Time two batches of middling size in the frozen layers and in a step, and say what follows.

    The activations that are computed stay in `boundary`; gradients are thrown away.

    Args:
        parameters: all that the loss trains.
        begun: `time.monotonic()` when this training began.
        epochs: the most that it may have.
        judged: tokens that each validation reads.
        read: tokens that go through all layers when the steps are done.

    Raises:
        Late: the time budget would end before half of the first epoch is done.
    """
    def tokens(places: list[int]) -> int:
        return sum(len(boundary.rows[i]) for i in places)

    order = sorted(batches.epoch(0), key=tokens)
    middle = len(order) // 2
    boundary.backbone.train(True)
    device = boundary.backbone.device
    frozen, step = 0.0, 0.0  # seconds a token
    for places in (order[middle - 1], order[middle]):  # the first warms up: kernels are built, pages are taken
        missing, at = boundary.missing, time.monotonic()
        boundary.fill(places)
        if missing > boundary.missing:
            settle(device)
            frozen = (time.monotonic() - at) / (missing - boundary.missing)
        for _ in range(2):
            at = time.monotonic()
            loss(places).backward()  # type: ignore[no-untyped-call]
            settle(device)
            step = (time.monotonic() - at) / tokens(places)
    boundary.backbone.train(False)
    for parameter in parameters.values():
        parameter.grad = None
    depth = len(boundary.backbone.layers)
    forward = frozen * depth / boundary.first if frozen else step * FORWARD
    start = frozen * boundary.missing
    said = Forecast(time.monotonic() - begun + start,
                    step * (sum(map(tokens, order)) + FORWARD * judged), forward * read)
    lesson.progress.note(f"At most {epochs} passes over the texts: about {_plain(said.seconds(epochs))}, as the "
                         "first batches tell.")
    left = math.inf if lesson.deadline is None else lesson.deadline - time.monotonic()
    if start + LEAST_EPOCHS * said.epoch > left:
        raise Late(f"one pass over the texts would take about {_plain(start + said.epoch)}, and "
                   f"{_plain(max(0.0, left))} of the time budget were left; raise it with --budget")
    return said


def _plain(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
