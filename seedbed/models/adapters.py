"""LoRA adapters through PEFT: add, save in PEFT's own format, merge."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import kernels
from .absent import absent
from .backbone import Backbone
from .four_bit import is_packed, unpack


def add_lora(backbone: Backbone, *, rank: int, alpha: float, layers: int | None = None, kind: str = "lora",
             dropout: float = 0.0) -> Any:
    """Put adapters on every linear layer of the top `layers` layers (all when None); returns the PEFT model.

    Of an encoder-decoder these are the top layers of both. Adapters are fp32: their updates are too small for bf16.

    Args:
        kind: `lora` (Hu et al. 2021), `rslora` (Kalajdzievski 2023) or `dora` (Liu et al. 2024), which PEFT's own
            forward pass runs: slower than the passes of `kernels`.
        dropout: share of the adapters' inputs that a training step leaves out, in PEFT's own pass too.
    """
    with absent("torchao"):
        from peft import LoraConfig, get_peft_model
        from peft.import_utils import is_torchao_available
        is_torchao_available()
    targets = [name for layer in backbone.parts(layers)[1] for name in _linear_names(backbone.root, layer)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that it gave up
        model = get_peft_model(backbone.root, LoraConfig(
            r=rank, lora_alpha=alpha, lora_dropout=dropout, bias="none", target_modules=targets,
            use_rslora=kind == "rslora", use_dora=kind == "dora"))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    kernels.quicken(backbone.root)
    return model


def load_lora(backbone: Backbone, folder: Path) -> Any:
    """Put saved adapters on a model, for `merge`; returns the PEFT model.

    Args:
        folder: as `save_adapter` wrote it.
    """
    with absent("torchao"):
        from peft import PeftModel
        from peft.import_utils import is_torchao_available
        is_torchao_available()
    return PeftModel.from_pretrained(backbone.root, folder)


def _linear_names(root: nn.Module, layer: nn.Module) -> list[str]:
    """Linear layers inside a layer (GPT-2 calls them Conv1D), by their names in the whole model.

    The output of a state-space mixer (Mamba) is left out: its fused kernels read that weight past the adapter.
    """
    from transformers.pytorch_utils import Conv1D
    fused = {id(m.out_proj) for m in layer.modules() if hasattr(m, "A_log") and hasattr(m, "out_proj")}
    inside = {id(m) for m in layer.modules() if isinstance(m, nn.Linear | Conv1D)} - fused
    return [name for name, module in root.named_modules() if id(module) in inside]


def merge(backbone: Backbone, model: Any) -> None:
    """Fold the adapters into the weights of `backbone`; the adapters are gone afterwards, and weights at 4 bits are
    plain ones again, with the values that the adapters were trained on.

    The sum is made in fp32 and rounded once, a layer at a time: the whole model in fp32 may not fit, nor may all that
    is added, which is as large as the model.
    """
    kernels.plain(backbone.root)
    added = dict[str, Callable[[], torch.Tensor]]()
    for name, module in model.named_modules():
        if not hasattr(module, "lora_A"):
            continue
        if is_packed(module.base_layer):
            added[name.removeprefix("base_model.model.")] = partial(module.get_delta_weight, "default")
        else:
            dtype = module.base_layer.weight.dtype
            module.base_layer.to(torch.float32)
            module.merge()
            module.base_layer.to(dtype)
    model.unload()  # what was merged stays
    if any(map(is_packed, backbone.root.modules())):
        unpack(backbone.root, added)
    backbone.root.requires_grad_(False)
    kernels.quicken(backbone.root)


def save_adapter(model: Any, folder: Path) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`."""
    model.save_pretrained(folder)
