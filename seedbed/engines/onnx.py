"""ONNX Runtime runs the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..settings import settings
from ..tasks.classify import Floats
from .exported import Exported, Ids

MODEL = "model.onnx"


class Onnx(Exported):
    """`model.onnx`, weights included."""

    kind, package = "onnx", "onnxruntime"

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        import onnxruntime

        super().__init__(folder, values)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = settings().threads, 1
        options.log_severity_level = 4  # rooms never print; what fails is raised as well
        self._session = onnxruntime.InferenceSession(folder / MODEL, options, providers=["CPUExecutionProvider"])

    def run(self, ids: Ids, mask: Ids) -> Floats:
        """[rows, tokens], [rows, tokens] -> [rows, labels], or [rows, tokens, tags]"""
        return np.asarray(self._session.run(None, {"ids": ids, "mask": mask})[0], np.float32)
