"""LiteRT: `model.tflite` for phones, browsers and small boards, weights in fp32 or int8."""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...engines.exported import muted
from ...engines.litert import MODEL, graph_name, lengths
from . import graph

if TYPE_CHECKING:
    from torch import Tensor

    from ...engines.base import Classifier, Reader


DEEP = 100_000
"""Calls within calls that litert-converter needs to copy a graph."""


class LiteRtTarget:
    """Traced by torch, lowered by litert-torch, and quantized by ai-edge-quantizer.

    A graph for every length of `engines.litert.lengths`: litert-torch stops at positions whose number is not known.
    """

    name = "litert"
    precisions: tuple[str, ...] = ("int8", "fp32")
    packages: tuple[str, ...] = ("litert_torch", "ai_edge_litert", "ai_edge_quantizer")

    def refuse(self, model: Classifier | Reader, precision: str) -> None:
        """Raises UserError: see `graph.refuse`."""
        graph.refuse(model, self.name)

    def write(self, model: Reader, folder: Path, precision: str) -> None:
        """Write `model.tflite`, `tokenizer.json` and `engine.json`."""
        import torch

        with graph.silently(), deeply(), torch.no_grad(), tempfile.TemporaryDirectory() as place:
            from litert_torch._convert.interface import Converter

            whole, made = graph.Graph(model), Converter()
            for length in lengths(model.backbone.max_tokens):
                made.add_signature(graph_name(length), whole, sample_kwargs=_sample(length))
            plain = folder / MODEL if precision == "fp32" else Path(place) / MODEL
            file = made.convert()
            with muted():  # its C++ tells how much it computed
                file.export(str(plain))
            if precision == "int8":
                int8(plain, folder / MODEL)
        graph.beside(model, folder, self.name, precision)


@contextlib.contextmanager
def deeply() -> Iterator[None]:
    """Within it calls may be nested as deeply as litert-converter needs. It raises Python's limit itself when it is
    imported, and for good: a file that is nested too deeply would then end the process instead of being refused."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, DEEP))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _sample(length: int) -> dict[str, Tensor]:
    """A row of so many tokens to trace with, the last one padding where there is room for it: see `graph.sample`."""
    import torch

    ids, mask = torch.ones(1, length, dtype=torch.int32), torch.ones(1, length, dtype=torch.int32)
    mask[0, max(1, length - 1):] = 0
    return {"ids": ids, "mask": mask}


def int8(source: Path, target: Path) -> None:
    """Weights with a scale for each number that they give; activations get a scale a token as they come.

    Products that give fewer numbers than they take keep exact activations, of which a few are large: see
    `onnx._narrowing`.
    """
    from ai_edge_quantizer import qtyping, quantizer, recipe

    made = quantizer.Quantizer(str(source), recipe.dynamic_wi8_afp32())
    for scope in _narrowing(source):
        made.add_weight_only_config(f"^{re.escape(scope)}$", qtyping.TFLOperationName.FULLY_CONNECTED, 8)
    made.quantize().export_model(str(target))


def _narrowing(source: Path) -> list[str]:
    """The quantizer's names of these products."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator
    from ai_edge_litert.tools import flatbuffer_utils
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import get_op_scope

    model = flatbuffer_utils.read_model(str(source))
    codes = [max(one.builtinCode, one.deprecatedBuiltinCode) for one in model.operatorCodes]
    found = []
    for part in model.subgraphs:
        for step in part.operators:
            if codes[step.opcodeIndex] == BuiltinOperator.FULLY_CONNECTED:
                given, taken = part.tensors[step.inputs[1]].shape
                if given < taken:
                    found.append(get_op_scope(step, part.tensors))
    return found
