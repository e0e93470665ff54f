"""A running average of the weights, which is judged and kept instead of the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Average:
    """Exponential moving average of parameters (Polyak & Juditsky 1992; with a decay as in Tarvainen & Valpola 2017).

    The first steps are averaged over a shorter time, so that the start does not linger.

    Args:
        parameters: what is trained.
        decay: share of the average that a step keeps; 0 averages nothing: `values` are the parameters then.
    """

    def __init__(self, parameters: dict[str, Tensor], decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        self.values = {name: p.detach().clone() for name, p in parameters.items()} if decay else parameters

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take up the parameters after a step, the first of which is 1."""
        if self.decay:
            weight = 1 - min(self.decay, step / (step + 9))
            for name, value in self.values.items():
                value.lerp_(self.parameters[name], weight)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Within it the parameters are the average."""
        if not self.decay:
            yield
            return
        kept = {name: p.detach().clone() for name, p in self.parameters.items()}
        try:  # what interrupts the copying below is mended too
            copy(self.values, self.parameters)
            yield
        finally:
            copy(kept, self.parameters)


@torch.no_grad()
def copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    """Values of tensors into those of the same names."""
    for name, value in source.items():
        target[name].copy_(value)
