"""Label texts with the model in this folder: python classify.py "A text" ["Another" ...], or a text a line on stdin.

It needs the packages in requirements.txt, and nothing else.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

HERE = Path(__file__).parent
ENGINE, TASK = (json.loads((HERE / name).read_text("utf-8")) for name in ("engine.json", "task.json"))
TOKENIZER = Tokenizer.from_file(str(HERE / "tokenizer.json"))
TOKENIZER.no_padding()
TOKENIZER.enable_truncation(ENGINE["max_tokens"])


def open_model() -> Any:
    """A function from token ids [1, tokens] to logits [1, labels]."""
    if ENGINE["kind"] == "onnx":
        import onnxruntime
        session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
        return lambda ids: session.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0]
    import openvino
    options = {"INFERENCE_PRECISION_HINT": "f32"} if ENGINE["precision"] == "fp32" else {}
    compiled = openvino.Core().compile_model(HERE / "model.xml", "CPU", options)
    return lambda ids: compiled({"ids": ids, "mask": np.ones_like(ids)})[0]


def classify(model: Any, text: str) -> dict[str, float]:
    """Calibrated probability of each label."""
    ids = TOKENIZER.encode(text).ids or [ENGINE["empty"]]
    scores = model(np.array([ids], np.int64))[0].astype(np.float64) / TASK["temperature"]
    each = 1 / (1 + np.exp(-scores)) if TASK["multi_label"] else np.exp(scores - scores.max())
    return dict(zip(TASK["labels"], (each if TASK["multi_label"] else each / each.sum()).tolist(), strict=True))


if __name__ == "__main__":
    run = open_model()
    for line in sys.argv[1:] or (line.rstrip("\n") for line in sys.stdin):
        print(json.dumps(classify(run, line), ensure_ascii=False), flush=True)
