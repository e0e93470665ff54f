"""A LoRA adapter as a GGUF file of its own, as llama.cpp puts it on a base (its convert_lora_to_gguf.py)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..tasks.classify import Floats
from .gguf_family import Family

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX, DOWN, UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
"""How PEFT names the two matrices of a layer."""
HINT = "Export it merged: --to gguf"
ELSE = {"use_dora": "DoRA's lengths of weights", "lora_bias": "biases of its own", "fan_in_fan_out": "weights that "
        "stand the other way round", "modules_to_save": "whole layers beside it", "trainable_token_indices":
        "words that were trained", "alora_invocation_tokens": "words that switch it on"}
"""What an adapter may have that llama.cpp's files of adapters do not, or that is not written here."""


def settings_of(adapter: Path) -> dict[str, Any]:
    """`adapter_config.json`.

    Raises:
        UserError: it is no LoRA adapter, or has what llama.cpp's have not.
    """
    said: dict[str, Any] = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    if said.get("peft_type") != "LORA" or said.get("bias", "none") != "none":
        raise UserError("The adapter is no plain LoRA, which is what llama.cpp puts on a model.", HINT)
    if found := next((what for name, what in ELSE.items() if said.get(name)), None):
        raise UserError(f"The adapter has {found}, and llama.cpp's have not.", HINT)
    return said


def write_adapter(file: Path, adapter: Path, family: Family, config: Any, facts: Mapping[str, str]) -> None:
    """Write the file.

    Args:
        adapter: folder as PEFT writes it.
        family: of the base.
        config: of the base, of transformers.
        facts: of the bundle, for the file's metadata.

    Raises:
        UserError: it changes what has no place in llama.cpp's files.
    """
    import gguf
    from safetensors.numpy import load_file

    said, stored = settings_of(adapter), load_file(adapter / WEIGHTS)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family.name.upper()], config.num_hidden_layers)
    layers = _layers(stored)
    scales = {name: scale_of(said, name, stored[name + DOWN].shape[0]) for name in layers}
    # llama.cpp divides one number by the rank of each layer; where layers differ, their matrices make up for it
    alpha = next((scales[name] * stored[name + DOWN].shape[0] for name in layers), 0.0) or 1.0
    out = gguf.GGUFWriter(str(file), family.name)
    out.add_type(gguf.GGUFType.ADAPTER)
    out.add_string("adapter.type", "lora")
    out.add_float32("adapter.lora.alpha", alpha)
    out.add_name(facts.get("name", "adapter"))
    for name in ("base_model", "base_hash", "data_hash", "model_hash"):
        if facts.get(name):
            out.add_string(f"seedbed.{name}", facts[name])
    for name in layers:
        weight = f"{name.removeprefix(PREFIX)}.weight"
        told = names.get_name(weight, try_suffixes=(".weight",))
        if told is None:
            raise UserError(f"The adapter changes {weight}, which has no place in a GGUF file of the family "
                            f"{family.name}.", HINT)
        down, up = stored[name + DOWN], stored[name + UP]  # [rank, in] and [out, rank]
        up = family.turned(weight, _fp32(up) * (scales[name] * down.shape[0] / alpha), config)
        out.add_tensor(f"{told}.lora_a", np.ascontiguousarray(_fp32(down)))
        out.add_tensor(f"{told}.lora_b", np.ascontiguousarray(up, np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def scale_of(said: Mapping[str, Any], name: str, rank: int) -> float:
    """By what the product of a layer's matrices is multiplied."""
    part = name.removeprefix(PREFIX)
    alpha = float(_told(said.get("alpha_pattern") or {}, part, said["lora_alpha"]))
    return alpha / (rank ** 0.5 if said.get("use_rslora") else rank)


def _told(pattern: Mapping[str, Any], name: str, otherwise: Any) -> Any:
    """What PEFT's patterns say of a layer: a key is its name, or the end of it."""
    return next((value for key, value in pattern.items() if name == key or name.endswith(f".{key}")), otherwise)


def _layers(stored: Collection[str]) -> list[str]:
    """Names of the layers that it changes."""
    found = sorted(name.removesuffix(DOWN) for name in stored if name.endswith(DOWN))
    if other := next((name for name in sorted(stored) if not name.endswith((DOWN, UP))), None):
        raise UserError(f"The adapter holds {other}, and llama.cpp's have pairs of matrices alone.", HINT)
    if not found:
        raise UserError("The adapter changes nothing.", HINT)
    return found


def _fp32(values: Floats) -> Floats:
    return np.asarray(values, np.float32)
