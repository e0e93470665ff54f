"""A backbone of which some weights are trained: adapters on its top layers, or the layers themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module  # what functional_call does, for a while

from ..errors import UserError
from ..machine import memory_to_plan_for
from ..models import grid
from ..models.adapters import add_lora, merge
from ..models.backbone import Backbone
from . import team
from .boundary import Boundary
from .config import TextConfig
from .lesson import Session

LORA_RATE, WHOLE_RATE, WIDTH = 2e-3, 5e-5, 576
"""Peak learning rates when none is given, measured on SmolLM2-135M, whose width that is (docs/LOG.md)."""


def rate(method: str, width: int) -> float:
    """The peak learning rate when none is given. Wide models take smaller ones for adapters: width ** -0.775
    (Schulman et al. 2025, "LoRA without regret")."""
    return WHOLE_RATE if method in ("full", "qat") else LORA_RATE * min(1.0, (WIDTH / width) ** 0.775)


class Trainable(Protocol):
    """What a method trains through: named fp32 parameters and vectors of texts."""

    parameters: dict[str, Tensor]
    boundary: Boundary

    def vectors(self, places: Sequence[int], *, pool: bool = True) -> Tensor:
        """Vectors of the texts at these positions -> [texts, width], fp32; or without pooling activations after the
        last layer -> [texts, tokens, width]."""

    def show(self) -> None:
        """Make the backbone answer as it is trained now; training may go on."""

    def finish(self) -> None:
        """Fold what was trained into the backbone."""


class Frozen:
    """Nothing is trained: a teacher, or a model that another is held against."""

    def __init__(self, backbone: Backbone, rows: Sequence[list[int]]) -> None:
        self.parameters: dict[str, Tensor] = {}
        self.boundary = Boundary(backbone, rows, 0)

    def vectors(self, places: Sequence[int], *, pool: bool = True) -> Tensor:
        return self.boundary.pass_through(places, pool=pool)

    def show(self) -> None:
        pass

    def finish(self) -> None:
        pass


class Adapted:
    """LoRA on the top layers; the frozen layers below are computed once (`Boundary`)."""

    def __init__(self, backbone: Backbone, rows: Sequence[list[int]], lesson: Session) -> None:
        config = lesson.config
        self.backbone = backbone
        self.model = add_lora(backbone, rank=config.rank, alpha=config.alpha, layers=config.train_layers,
                              kind=config.adapter, dropout=config.adapter_dropout)
        self.parameters = {name: p for name, p in backbone.body.named_parameters() if p.requires_grad}
        if isinstance(config, TextConfig) and config.shard:
            team.part(backbone.root, backbone.layers, self.parameters.values())
        self.boundary = _boundary(backbone, rows, config.train_layers, lesson)

    def vectors(self, places: Sequence[int], *, pool: bool = True) -> Tensor:
        return self.boundary.pass_through(places, pool=pool)

    def show(self) -> None:
        pass  # adapters stand in the backbone

    def finish(self) -> None:
        self.backbone.settle()
        merge(self.backbone, self.model)


class Whole:
    """Every weight of the top layers (all when None): fp32 for the optimizer, rounded to the machine's precision for
    each pass.

    The tables of words and positions are frozen: a small data set holds few of the words, and the table would take
    half of an encoder's optimizer state.
    """

    def __init__(self, backbone: Backbone, rows: Sequence[list[int]], lesson: Session,
                 layers: int | None = None) -> None:
        self.backbone = backbone
        fixed = {id(p) for part in (*backbone.parts(layers)[0], *_tables(backbone)) for p in part.parameters()}
        self.parameters: dict[str, Tensor] = {
            name: p.detach().float().clone().requires_grad_()
            for name, p in backbone.body.named_parameters() if id(p) not in fixed}
        self.boundary = _boundary(backbone, rows, layers, lesson)

    def used(self, name: str) -> Tensor:
        """A parameter as the model computes with it."""
        return self.parameters[name]

    def vectors(self, places: Sequence[int], *, pool: bool = True) -> Tensor:
        rounded = {f"body.{name}": self.used(name).to(self.backbone.dtype) for name in self.parameters}
        return self.boundary.pass_through(places, rounded, pool=pool)

    def show(self) -> None:
        with torch.no_grad():
            for name, parameter in self.backbone.body.named_parameters():
                if name in self.parameters:
                    parameter.copy_(self.used(name))

    def finish(self) -> None:
        self.backbone.settle()
        self.show()


class Rounded(Whole):
    """The weights of the top layers, rounded to 4 bits in every pass; their gradient is that of the rounded ones
    (straight through: Bengio et al. 2013). The layers below are rounded once.

    Raises:
        UserError: the model's width cannot be divided into groups.
    """

    def __init__(self, backbone: Backbone, rows: Sequence[list[int]], lesson: Session,
                 layers: int | None = None) -> None:
        group = grid.group_of(backbone.width)
        if group is None:
            raise UserError(f"This model is {backbone.width} wide, which no group of {grid.GROUPS} weights divides.",
                            "Take --method lora or full.")
        self.group = group
        below, above = backbone.parts(layers)
        with torch.no_grad():
            for weight in grid.matrices(below, group):
                weight.copy_(grid.rounded(weight, group))
        mine = {id(weight) for weight in grid.matrices(above, group)}
        self.matrices = {name for name, p in backbone.body.named_parameters() if id(p) in mine}
        super().__init__(backbone, rows, lesson, layers)

    def used(self, name: str) -> Tensor:
        weight = self.parameters[name]
        if name not in self.matrices:
            return weight
        return weight + (grid.rounded(weight.detach(), self.group) - weight).detach()


def _tables(backbone: Backbone) -> list[nn.Module]:
    """Tables of words and positions; T5 has its vocabulary inside its body."""
    head = backbone.root.get_output_embeddings()
    return [one for one in backbone.body.modules() if isinstance(one, nn.Embedding) or one is head]


def _boundary(backbone: Backbone, rows: Sequence[list[int]], layers: int | None, lesson: Session) -> Boundary:
    """Nothing is stored where all layers are trained, nor of an encoder-decoder, which has two boundaries."""
    first = 0 if backbone.paired else len(backbone.parts(layers)[0])
    file = lesson.folder / "activations.bin" if lesson.folder else None
    config = lesson.config
    if config.packing and not backbone.packs():
        raise UserError(f"Texts that stand in one row do not stay apart in {type(backbone.root).__name__}.",
                        "Leave out --packing: texts of similar length then stand together.")
    if config.neftune:
        backbone.noise(config.neftune)
        first = 0
    made = Boundary(backbone, rows, first, file=file, memory=memory_to_plan_for() // 4, packing=config.packing)
    if config.checkpointing:
        backbone.recompute(lambda: _reparametrize_module(backbone, made.weights))
    return made
