"""ExecuTorch runs the model. In Python its runtime needs torch; it is for Android and iOS, where it needs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..settings import settings
from ..tasks.classify import Floats
from .exported import Exported, Ids, muted

MODEL = "model.pte"


class ExecuTorch(Exported):
    """`model.pte`. Rows are answered one by one, since its graph takes one row."""

    kind, package, beside = "executorch", "executorch", ("torch",)

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        super().__init__(folder, values)
        with muted():  # it tells where it looks for the processor's name
            import executorch.kernels.quantized  # noqa: F401  tables of words at 8 bits
            from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
            from executorch.runtime import Runtime

            _unsafe_reset_threadpool(settings().threads)  # safe while no model of this runtime answers
            self._forward = Runtime.get().load_program(folder / MODEL).load_method("forward")

    def run(self, ids: Ids, mask: Ids) -> Floats:
        """[rows, tokens], [rows, tokens] -> [rows, labels], or [rows, tokens, tags]"""
        import torch

        if ids.shape[1] > self.max_tokens:
            raise ValueError(f"{ids.shape[1]} tokens, and the graph takes {self.max_tokens}")
        rows = ([torch.from_numpy(one[None]) for one in row] for row in zip(ids, mask, strict=True))
        return np.concatenate([np.asarray(self._forward.execute(row)[0], np.float32) for row in rows])
