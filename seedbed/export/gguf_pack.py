"""Which type each tensor of a GGUF file gets, and packing it: llama.cpp's own recipes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.llama_library import Floats, pack

PRECISIONS = ("q4_k_m", "q8_0", "f16")
EXACT = ("f16", "q8_0")
"""Precisions whose types take no importance of columns."""
FILE_TYPES = {"f16": 1, "q8_0": 7, "q4_k_m": 15}
"""llama.cpp's numbers of them, `general.file_type`."""
BLOCK, SUPER = 32, 256
"""Values that share a scale; those of the K types, whose scales are quantized too."""
PLAINER = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What llama.cpp takes instead where the width is no multiple of `SUPER`."""


def type_of(name: str, shape: tuple[int, ...], precision: str, layers: int, tied: bool, family: str = "") -> str:
    """Name of the ggml type for a tensor.

    Args:
        name: in the GGUF file.
        shape: [rows, width], or [experts, rows, width]; vectors stay in fp32.
        precision: one of `PRECISIONS`.
        layers: of the model.
        tied: the table of words scores them too.
        family: llama.cpp's name of it.
    """
    if len(shape) < 2 or name.endswith("ffn_gate_inp.weight"):  # what chooses experts is small, and much hangs on it
        return "F32"
    if precision == "f16":
        return "F16"
    kind = "Q8_0" if precision == "q8_0" else _mixed(name, layers, tied, family == "falcon")
    if kind in PLAINER and shape[-1] % SUPER:
        kind = PLAINER[kind]
    return kind if shape[-1] % BLOCK == 0 else "F16"


def _mixed(name: str, layers: int, tied: bool, falcon: bool) -> str:
    """The type that `q4_k_m` has for a tensor, where its rows are long enough."""
    part = name.split(".")
    if name == ("token_embd.weight" if tied else "output.weight"):
        return "Q8_0" if falcon else "Q6_K"
    if part[0] != "blk":
        return "Q4_K"
    layer, down = int(part[1]), part[2].startswith("ffn_down")
    if not (down or part[2] in ("attn_v", "attn_qkv")):
        return "Q4_K"
    if falcon and down:
        return "Q6_K" if layer < layers // 16 else "Q5_K" if _dearer(layer, layers) else "Q4_K"
    return "Q6_K" if _dearer(layer, layers) else "Q4_K"


def _dearer(layer: int, layers: int) -> bool:
    """Of these layers llama.cpp keeps two more bits: the first and last eighth, and every third between."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def packed(values: Floats, kind: str, importance: Floats | None = None) -> tuple[NDArray[Any], Any]:
    """The bytes of a tensor as the writer of the package gguf takes them, and the type's number there.

    Args:
        kind: name of the ggml type.
        importance: how much an error in each column matters; none where nobody knows. [width]
    """
    from gguf import GGMLQuantizationType

    number = GGMLQuantizationType[kind]
    if kind == "F32":
        return np.ascontiguousarray(values, np.float32), number
    if kind == "F16":
        return np.ascontiguousarray(values.astype(np.float16)), number
    rows = pack(values.reshape(-1, values.shape[-1]), int(number), importance)
    return rows.reshape(*values.shape[:-1], -1), number
