"""ExecuTorch: `model.pte` for Android and iOS, in fp32, computed by XNNPACK."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...engines.executorch import MODEL
from . import graph

if TYPE_CHECKING:
    from ...engines.base import Classifier, Reader


class ExecuTorchTarget:
    """Traced by torch with one row of any length, lowered to XNNPACK where that knows a step."""

    name = "executorch"
    precisions: tuple[str, ...] = ("fp32",)
    packages: tuple[str, ...] = ("executorch", "torchao")

    def refuse(self, model: Classifier | Reader, precision: str) -> None:
        """Raises UserError: see `graph.refuse`."""
        graph.refuse(model, self.name)

    def write(self, model: Reader, folder: Path, precision: str) -> None:
        """Write `model.pte`, `tokenizer.json` and `engine.json`."""
        import torch

        with graph.silently(), torch.no_grad():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            free = {1: torch.export.Dim("tokens", min=2, max=model.backbone.max_tokens)}
            ids, mask = graph.sample()
            traced = torch.export.export(graph.Graph(model), (ids[:1], mask[:1]), dynamic_shapes=(free, free),
                                         strict=False)
            made = to_edge_transform_and_lower(traced, partitioner=[XnnpackPartitioner()]).to_executorch()
            (folder / MODEL).write_bytes(made.buffer)
        graph.beside(model, folder, self.name, precision)
