"""ExecuTorch: `model.pte` for Android and iOS, weights in fp32 or int8, computed by XNNPACK."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engines.executorch import MODEL
from . import graph

if TYPE_CHECKING:
    from ...engines.base import Classifier, Reader


class ExecuTorchTarget:
    """Traced by torch with one row of any length, quantized by torchao, lowered to XNNPACK as far as that goes."""

    name = "executorch"
    precisions: tuple[str, ...] = ("fp32", "int8")
    packages: tuple[str, ...] = ("executorch", "torchao")

    def refuse(self, model: Classifier | Reader, precision: str) -> None:
        """Raises UserError: see `graph.refuse`."""
        graph.refuse(model, self.name)

    def write(self, model: Reader, folder: Path, precision: str) -> None:
        """Write `model.pte`, `tokenizer.json` and `engine.json`."""
        import torch

        with graph.silently(), torch.no_grad():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower

            whole = graph.Graph(model)
            if precision == "int8":
                tables(whole)
                products(whole, lambda one: one.out_features >= one.in_features)  # as `onnx._narrowing` says
            free = {1: torch.export.Dim("tokens", min=2, max=model.backbone.max_tokens)}
            ids, mask = graph.sample()
            traced = torch.export.export(whole, (ids[:1], mask[:1]), dynamic_shapes=(free, free), strict=False)
            made = to_edge_transform_and_lower(traced, partitioner=[XnnpackPartitioner()]).to_executorch(
                ExecutorchBackendConfig(do_quant_fusion_and_const_prop=precision == "int8"))
            (folder / MODEL).write_bytes(made.buffer)
        graph.beside(model, folder, self.name, precision)


def tables(root: Any) -> None:
    """Tables of words at 8 bits, a scale a row; they are looked up as they are stored.

    Args:
        root: a torch module; the tables in it are replaced.
    """
    import torch
    from torch import nn
    from torchao.quantization.granularity import PerAxis
    from torchao.quantization.quant_api import IntxWeightOnlyConfig, quantize_

    for one in root.modules():
        if isinstance(one, nn.Embedding):
            one.padding_idx = None  # a table that names one is not looked up as it is stored, and ExecuTorch stops
    quantize_(root, IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerAxis(0)),
              lambda module, name: isinstance(module, nn.Embedding))


def products(root: Any, chosen: Callable[[Any], bool], group: int | None = None) -> None:
    """Products with weights of 8 bits, a scale a row, or of 4, a scale a group; activations get 8 bits and a scale a
    token as they come.

    Args:
        root: a torch module; the weights in it are replaced.
        chosen: of its linear layers.
        group: weights that share a scale, at 4 bits.
    """
    import torch
    from torch import nn
    from torchao.quantization.granularity import PerAxis, PerGroup
    from torchao.quantization.quant_api import Int8DynamicActivationIntxWeightConfig, quantize_

    recipe = Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int4, weight_granularity=PerGroup(group),  # type: ignore[attr-defined]
        intx_choose_qparams_algorithm="hqq_scale_only") if group else Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int8, weight_granularity=PerAxis(0))
    quantize_(root, recipe, lambda module, name: isinstance(module, nn.Linear) and chosen(module))
