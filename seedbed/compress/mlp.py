"""Narrower MLPs: in every layer the units that matter least are left out, as many in each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .calibration import Calibration
from .families import best, family_of, keep_columns, keep_rows, layers_of, share
from .whole import Whole

STEP = 32
"""Widths are multiples of it, where they were: weights at 4 bits share a scale among 32."""


def narrow(whole: Whole, calibration: Calibration, keep: float) -> list[list[int]]:
    """Leave units of the MLPs out.

    Args:
        keep: share of the width that stays.

    Returns:
        Of each layer the units that stay, ascending.

    Raises:
        UserError: a family that is not known here.
    """
    family, config = family_of(whole.model), whole.model.config
    width = share(int(config.intermediate_size), keep, STEP)
    if width == config.intermediate_size:
        return [list(range(width))] * len(layers_of(whole.model))
    layers = list(layers_of(whole.model))
    last = [layer.get_submodule(family.narrowed) for layer in layers]
    stay = [best(one, width) for one in importance(calibration, last, "importance of MLP units")]
    for layer, units in zip(layers, stay, strict=True):
        for name in family.widened:
            keep_rows(layer.get_submodule(name), units)
        keep_columns(layer.get_submodule(family.narrowed), units)
    config.intermediate_size = width
    return [units.tolist() for units in stay]


def importance(calibration: Calibration, matrices: list[Any], work: str, parts: int = 1) -> list[Tensor]:
    """How much each input of some matrices matters.

    For a model that writes: how much the loss would change without it, to the first order, i.e. |activation x
    gradient| summed over a text's tokens, mean over texts (Molchanov et al. 2017, "Pruning convolutional neural
    networks for resource efficient inference"; of heads Michel et al. 2019, "Are sixteen heads really better than
    one?"). For any other, whose last activations have no loss to change to the first order: how much it adds, i.e.
    the mean absolute activation times the length of its column.

    Args:
        matrices: linear layers that end a part.
        parts: inputs that stand or fall together: neighbours.

    Returns:
        For each matrix [inputs / parts].
    """
    sums = [torch.zeros(one.in_features // parts, dtype=torch.float64) for one in matrices]

    def first_order(number: int, entered: Tensor, gradient: Tensor) -> None:
        each = (entered * gradient).sum(1).reshape(len(entered), -1, parts).sum(-1)     # [rows, inputs / parts]
        sums[number] += each.abs().double().sum(0)

    def magnitude(number: int, entered: Tensor, mask: Tensor) -> None:
        each = (entered.abs() * mask[..., None]).sum((0, 1)) * matrices[number].weight.norm(dim=0)
        sums[number] += each.reshape(-1, parts).sum(-1).double()
    calibration.watch(matrices, first_order if calibration.writes else magnitude, work, gradient=calibration.writes)
    return sums
