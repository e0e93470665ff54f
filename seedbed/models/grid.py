"""Weights that 4 bits hold exactly: of each group 16 values, evenly spaced and zero among them, as int4 files keep
them. A model that is trained on such weights answers from 4 bits as it was trained (Jacob et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

LEVELS = 15
"""Steps from the lowest value to the highest."""
GROUPS = (32, 64, 128)
"""Weights of a row that share a scale, the first that divides the width: small groups lose less."""
APART = 0.15
"""Of a step, how far weights may lie beside the values: bf16 rounds them."""


def group_of(width: int) -> int | None:
    """How many weights of a row share a scale; None for a width that cannot be divided."""
    return next((size for size in GROUPS if width % size == 0), None)


def rounded(weight: Tensor, group: int) -> Tensor:
    """The nearest values that 4 bits hold. What is rounded already stays as it is.

    Args:
        weight: [out, in]
        group: columns that share a scale.
    """
    step, zero, parts = _values(weight, group)
    values = (parts / step + zero).round_().clamp_(0, LEVELS).sub_(zero).mul_(step)
    return values.reshape(weight.shape).to(weight.dtype)


def _values(weight: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor]:
    parts = weight.float().reshape(len(weight), -1, group)
    low, high = parts.amin(-1, keepdim=True).clamp(max=0), parts.amax(-1, keepdim=True).clamp(min=0)
    step = (high - low) / LEVELS
    step = step.masked_fill(step == 0, 1.0)
    return step, (-low / step).round().clamp(0, LEVELS), parts


def matrices(layers: Iterable[nn.Module], group: int) -> Iterator[Tensor]:
    """The weights of some layers that an export holds at 4 bits."""
    for layer in layers:
        for one in layer.modules():
            if isinstance(one, nn.Linear) and one.in_features % group == 0:
                yield one.weight


@torch.no_grad()
def lies_on(root: Any) -> bool:
    """Whether all matrices of a language model hold values of 4 bits; its vocabulary does not count."""
    group, head = group_of(root.config.hidden_size), root.get_output_embeddings()
    if group is None:
        return False
    for weight in matrices([one for one in root.modules() if one is not head and not list(one.children())], group):
        step, zero, parts = _values(weight, group)
        places = parts / step + zero
        if float((places - places.round()).abs().max()) > APART:
            return False
    return True
