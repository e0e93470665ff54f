"""OpenVINO runs the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..settings import settings
from ..tasks.classify import Floats
from .exported import Exported, Ids

MODEL = "model.xml"

# OpenVINO and NNCF tell Google Analytics what they convert, unless this package is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


class OpenVino(Exported):
    """`model.xml` and `model.bin`."""

    kind, package = "openvino", "openvino"

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        import openvino

        super().__init__(folder, values)
        options = {"INFERENCE_NUM_THREADS": settings().threads, "PERFORMANCE_HINT": "LATENCY"}
        if values.get("precision") == "fp32":  # processors with bf16 would round, and it was certified without
            options["INFERENCE_PRECISION_HINT"] = "f32"
        compiled = openvino.Core().compile_model(folder / MODEL, "CPU", options)
        self._request = compiled.create_infer_request()

    def run(self, ids: Ids, mask: Ids) -> Floats:
        """[rows, tokens], [rows, tokens] -> [rows, labels], or [rows, tokens, tags]"""
        self._request.infer({"ids": ids, "mask": mask})
        return np.array(self._request.get_output_tensor(0).data, np.float32)
