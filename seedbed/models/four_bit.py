"""Frozen weights at 4 bits (NF4, Dettmers et al. 2023, "QLoRA") through bitsandbytes, on a CPU too."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import MissingExtra
from .runtime import give_back_memory, return_freed

KIND = "Linear4bit"

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of kernels that it would like to download


def packing(dtype: torch.dtype) -> Any:
    """What transformers needs to pack a model's linear layers while it reads them; the vocabulary stays as it is.

    Args:
        dtype: of the products.

    Raises:
        MissingExtra: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise MissingExtra("--method qlora", "qlora")
    from transformers import BitsAndBytesConfig
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                              bnb_4bit_compute_dtype=dtype)


def pack_rest(root: Any, dtype: torch.dtype) -> None:
    """Pack linear layers that transformers leaves as they are since they have a class of their own (Falcon's)."""
    from bitsandbytes.nn import Linear4bit, Params4bit
    head = root.get_output_embeddings() if hasattr(root, "get_output_embeddings") else None
    for name, layer in list(root.named_modules()):
        if not isinstance(layer, nn.Linear) or type(layer) is nn.Linear or is_packed(layer) or layer is head:
            continue
        made = Linear4bit(layer.in_features, layer.out_features, layer.bias is not None, dtype, True, "nf4")
        made.weight = Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4", module=made)
        made.bias = layer.bias
        made.to(layer.weight.device)  # this packs it
        owner, _, own = name.rpartition(".")
        setattr(root.get_submodule(owner), own, made)


def is_packed(layer: nn.Module) -> bool:
    """A linear layer whose weight is held at 4 bits."""
    return type(layer).__name__ == KIND and hasattr(getattr(layer, "weight", None), "quant_state")


def weight_of(layer: Any) -> Tensor:
    """The weight of a linear layer, unpacked where it is packed. [out, in]"""
    if not is_packed(layer):
        weight: Tensor = layer.weight
        return weight
    from bitsandbytes.functional import dequantize_4bit
    out: Tensor = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    return out


def unpack(root: Any, added: dict[str, Callable[[], Tensor]]) -> None:
    """Turn every packed layer of a model into a plain one, in place, one after the other: each is let go before the
    next is unpacked.

    Args:
        added: what gives the values that are added to some weights, by the name of their layer; the sum is rounded
            once. Empty afterwards.
    """
    give_back_memory()  # of the training
    for name in [name for name, layer in root.named_modules() if is_packed(layer)]:
        layer = root.get_submodule(name)
        weight = weight_of(layer)
        plain = nn.Linear(weight.shape[1], weight.shape[0], layer.bias is not None, device="meta")
        more = added.pop(name, None)
        summed = weight if more is None else (weight.float() + more().float()).to(weight.dtype)
        plain.weight = nn.Parameter(summed, requires_grad=False)
        if layer.bias is not None:
            plain.bias = nn.Parameter(layer.bias.data, requires_grad=False)
        owner, _, own = name.rpartition(".")
        setattr(root.get_submodule(owner), own, plain)
        del layer, weight
        return_freed()  # else its place stays a hole, and all of them are a seventh of the model
    for holder, name in ((root.config, "quantization_config"), (root, "hf_quantizer"), (root, "quantization_method")):
        if hasattr(holder, name):
            delattr(holder, name)
    root.is_quantized = root.is_loaded_in_4bit = False
