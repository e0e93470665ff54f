"""ONNX: `model.onnx` for ONNX Runtime, weights in fp32, int8 or int4."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engines.onnx import MODEL
from . import graph

if TYPE_CHECKING:
    from ...engines.base import Classifier, Reader

BLOCK = 32
"""Weights that share a scale at 4 bits."""
WORDS = {"MatMul": 0, "Gather": 1}
"""What is stored at 4 bits, and along which axis: matrix products, and the table of words, the larger part of a small
model."""


class OnnxTarget:
    """Traced by torch; int8 weights with activations that are quantized as they come."""

    name = "onnx"
    precisions: tuple[str, ...] = ("int8", "int4", "fp32")
    packages: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime")

    def refuse(self, model: Classifier | Reader, precision: str) -> None:
        """Raises UserError: see `graph.refuse`."""
        graph.refuse(model, self.name)

    def write(self, model: Reader, folder: Path, precision: str) -> None:
        """Write `model.onnx`, `tokenizer.json` and `engine.json`."""
        import onnx
        import torch

        free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        with graph.silently(), torch.no_grad(), tempfile.TemporaryDirectory() as place:
            program = torch.onnx.export(graph.Graph(model), graph.sample(), None, dynamo=True, verbose=False,
                                        input_names=["ids", "mask"], output_names=["logits"],
                                        dynamic_shapes={"ids": free, "mask": free}, external_data=False)
            made = program.model_proto  # type: ignore[union-attr]
            bare(made)
            whole = Path(place) / MODEL
            onnx.save(made, whole)
            if precision == "fp32":
                onnx.save(made, folder / MODEL)
            elif precision == "int8":
                _int8(whole, folder / MODEL)
            else:
                _int4(whole, folder / MODEL)
        graph.beside(model, folder, self.name, precision, alone=precision == "int8")


def bare(model: Any) -> None:
    """Take out what tells of the machine that exported: torch writes its stack traces into every node."""
    del model.metadata_props[:]
    parts = [model.graph, *model.functions]
    for part in parts:
        del part.metadata_props[:]
        for one in (*part.node, *part.value_info, *getattr(part, "initializer", ()), *part.input, *part.output):
            if hasattr(one, "metadata_props"):
                del one.metadata_props[:]
            if hasattr(one, "doc_string"):
                one.doc_string = ""


def _int8(source: Path, target: Path) -> None:
    """Weights by column, unsigned: sums of signed 8-bit products overflow on processors without VNNI. Activations get
    one scale a pass, so that a text's answer would depend on those beside it: the engine answers each alone."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, weight_type=QuantType.QUInt8, per_channel=True,
                     nodes_to_exclude=_narrowing(onnx.load(source).graph), extra_options={"MatMulConstBOnly": True})


def _narrowing(graph: Any) -> list[str]:
    """Products that give fewer numbers than they take stay in fp32: the head, and the second half of each layer's
    widened part, where a few activations are so large that one scale for all leaves the others nothing
    (docs/LOG.md)."""
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    found = []
    for node in graph.node:
        weight = next((shapes[name] for name in node.input if len(shapes.get(name, ())) == 2), None)
        if node.op_type in ("MatMul", "Gemm") and weight is not None:
            flipped = any(one.name == "transB" and one.i for one in node.attribute)
            taken, given = reversed(weight) if flipped else weight
            if given < taken:
                found += [node.name, f"{node.name}_MatMul"]  # what the quantizer calls a Gemm that it took apart
    return found


def _int4(source: Path, target: Path) -> None:
    """Weights at 4 bits, a scale for each `BLOCK` of them."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    made = MatMulNBitsQuantizer(onnx.load(source), block_size=BLOCK, is_symmetric=True, accuracy_level=4,
                                 op_types_to_quantize=tuple(WORDS), quant_axes=tuple(WORDS.items()))
    made.process()
    made.model.save_model_to_file(str(target))
