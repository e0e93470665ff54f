"""Weights of an ONNX graph in blocks with a scale each, and its tables of words by row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .onnx import BLOCK

TABLE = 4096
"""Numbers from which what is looked up by token is a table of words; T5 looks up distances too."""


def compressed(model: Any, bits: int) -> Any:
    """Weights at 8 or 4 bits in blocks of `BLOCK`; the table of words stays at 8, as OpenVINO keeps it."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    _turned(model.graph)
    _tables(model.graph)
    made = MatMulNBitsQuantizer(model, bits=bits, block_size=BLOCK, is_symmetric=True, accuracy_level=4)
    made.process()
    return made.model.model


def _turned(graph: Any) -> None:
    """Weights that are turned before they are multiplied (a head that shares the table of words) are stored so."""
    from onnx import numpy_helper

    weights = {one.name: one for one in graph.initializer}
    for node in [one for one in graph.node if one.op_type == "Transpose" and one.input[0] in weights]:
        order = next((list(one.ints) for one in node.attribute if one.name == "perm"), None)
        turned = np.ascontiguousarray(numpy_helper.to_array(weights[node.input[0]]).transpose(order))
        graph.initializer.append(numpy_helper.from_array(turned, node.output[0]))
        graph.node.remove(node)
    _forget_unused(graph)


def _tables(graph: Any) -> None:
    """What is looked up by token is stored at 8 bits, a scale a row."""
    from onnx import TensorProto, helper, numpy_helper

    weights = {one.name: one for one in graph.initializer}
    for node in [one for one in graph.node if one.op_type == "Gather" and one.input[0] in weights]:
        table = numpy_helper.to_array(weights[node.input[0]])
        if table.ndim != 2 or table.size < TABLE or any(one.name == "axis" and one.i for one in node.attribute):
            continue
        name, (place, out) = node.input[0], (node.input[1], node.output[0])
        small, scale = rounded(table)
        if f"{name}.rows" not in weights:
            weights |= {f"{name}.rows": None, f"{name}.scale": None}
            graph.initializer.extend([numpy_helper.from_array(small, f"{name}.rows"),
                                      numpy_helper.from_array(scale, f"{name}.scale")])
        at = list(graph.node).index(node)
        graph.node.remove(node)
        for step, one in enumerate((
                helper.make_node("Gather", [f"{name}.rows", place], [f"{out}.row"]),
                helper.make_node("Cast", [f"{out}.row"], [f"{out}.wide"], to=TensorProto.FLOAT),
                helper.make_node("Gather", [f"{name}.scale", place], [f"{out}.scale"]),
                helper.make_node("Mul", [f"{out}.wide", f"{out}.scale"], [out]))):
            graph.node.insert(at + step, one)
    _forget_unused(graph)


def rounded(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows at 8 bits, and their scales. [words, width] -> the same, [words, 1]"""
    scale = np.maximum(np.abs(table).max(1, keepdims=True), 1e-12) / 127
    return np.rint(table / scale).astype(np.int8), scale.astype(np.float32)


def _forget_unused(graph: Any) -> None:
    used = {name for node in graph.node for name in node.input} | {one.name for one in graph.output}
    for one in [one for one in graph.initializer if one.name not in used]:
        graph.initializer.remove(one)
