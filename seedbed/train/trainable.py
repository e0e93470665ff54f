"""A backbone of which some weights are trained: adapters on its top layers, or everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..machine import memory_to_plan_for
from ..models.adapters import add_lora, merge
from ..models.backbone import Backbone
from .boundary import Boundary
from .lesson import Lesson


class Trainable(Protocol):
    """What a method trains through: named fp32 parameters and vectors of texts."""

    parameters: dict[str, Tensor]

    def vectors(self, places: Sequence[int]) -> Tensor:
        """Vectors of the texts at these positions. -> [texts, width], fp32"""

    def finish(self) -> None:
        """Fold what was trained into the backbone."""


class Adapted:
    """LoRA on the top layers; the frozen layers below are computed once (`Boundary`)."""

    def __init__(self, backbone: Backbone, rows: Sequence[list[int]], lesson: Lesson) -> None:
        config = lesson.config
        self.backbone = backbone
        self.model = add_lora(backbone, rank=config.rank, alpha=config.alpha, layers=config.train_layers)
        self.parameters = {name: p for name, p in backbone.body.named_parameters() if p.requires_grad}
        file = lesson.folder / "activations.bin" if lesson.folder else None
        first = max(0, len(backbone.layers) - config.train_layers)
        self.boundary = Boundary(backbone, rows, first, file=file, memory=memory_to_plan_for() // 4,
                                 progress=lesson.progress)

    def vectors(self, places: Sequence[int]) -> Tensor:
        return self.boundary.pooled(places)

    def finish(self) -> None:
        merge(self.backbone, self.model)


class Whole:
    """Every weight, kept in fp32 for the optimizer and rounded to the machine's precision for each pass."""

    def __init__(self, backbone: Backbone, rows: Sequence[list[int]], lesson: Lesson) -> None:
        self.backbone, self.rows = backbone, rows
        self.parameters = {name: p.detach().float().clone().requires_grad_()
                           for name, p in backbone.body.named_parameters()}

    def vectors(self, places: Sequence[int]) -> Tensor:
        short = {f"body.{name}": p.to(self.backbone.dtype) for name, p in self.parameters.items()}
        batch = self.backbone.batch([self.rows[i] for i in places])
        return torch.func.functional_call(self.backbone, short, (batch,))  # type: ignore[no-any-return]

    def finish(self) -> None:
        with torch.no_grad():
            for name, parameter in self.backbone.body.named_parameters():
                parameter.copy_(self.parameters[name])
