"""OpenVINO: `model.xml` with `model.bin`, weights in fp32, bf16, int8 or int4."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engines.openvino import MODEL
from . import graph

if TYPE_CHECKING:
    from ...engines.base import Classifier, Reader

LARGE = 1024
"""Numbers from which a constant is a weight and is stored in bf16; norms and biases stay."""


class OpenVinoTarget:
    """Traced by OpenVINO, compressed by NNCF. Only weights are made smaller: activations at 8 bits were slower on
    processors without VNNI, and less exact (docs/LOG.md)."""

    name = "openvino"
    precisions: tuple[str, ...] = ("int8", "int4", "bf16", "fp32")
    packages: tuple[str, ...] = ("openvino", "nncf")

    def refuse(self, model: Classifier | Reader, precision: str) -> None:
        """Raises UserError: see `graph.refuse`."""
        graph.refuse(model, self.name)

    def write(self, model: Reader, folder: Path, precision: str) -> None:
        """Write `model.xml`, `model.bin`, `tokenizer.json` and `engine.json`."""
        import openvino
        import torch

        ids, mask = graph.sample()
        free = openvino.PartialShape([-1, -1])
        with graph.silently(), torch.no_grad():
            made = openvino.convert_model(graph.Graph(model), example_input={"ids": ids, "mask": mask},
                                          input=[("ids", free, openvino.Type.i64), ("mask", free, openvino.Type.i64)])
            for place, name in zip(made.inputs, ("ids", "mask"), strict=False):  # one may have been left out
                place.get_tensor().set_names({name})
            if precision == "bf16":
                _bf16(made)
            elif precision != "fp32":
                made = _compressed(made, precision, model.backbone.width)
            openvino.save_model(made, folder / MODEL, compress_to_fp16=False)
        graph.beside(model, folder, self.name, precision)


def _compressed(model: Any, precision: str, width: int) -> Any:
    """Weights at 8 bits (one scale a row), or at 4 with a scale a group where the width allows groups."""
    import nncf

    from ...models.grid import group_of

    if precision == "int8":
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT4_ASYM, group_size=group_of(width) or -1,
                                 ratio=1.0)


def _bf16(model: Any) -> None:
    """Store large constants in bf16; they are fp32 again when the model is opened."""
    import openvino
    from openvino import opset13

    for node in model.get_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != openvino.Type.f32 or \
                np.prod(node.shape) < LARGE:
            continue
        if np.abs(node.data).max() > 1e30:  # a mask: its lowest number would become minus infinity
            continue
        bits = np.ascontiguousarray(node.data, np.float32).view(np.uint32)
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)  # to the nearest, ties to even
        stored = openvino.Tensor(openvino.Type.bf16, node.shape)  # a constant would not keep an array alive
        stored.data.view(np.uint16)[:] = rounded
        short = openvino.op.Constant(stored)
        wide = opset13.convert(short, "f32")
        wide.get_rt_info()["decompression_0"] = ""
        for place in list(node.output(0).get_target_inputs()):
            place.replace_source_output(wide.output(0))
