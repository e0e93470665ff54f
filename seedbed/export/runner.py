"""Answer texts with the model in this folder: python NAME.py "A text" ["Another" ...], or a text a line on stdin.

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


def open_onnx() -> Any:
    """A function from token ids [1, tokens] to logits [1, labels], or to a vector [1, width]."""
    import onnxruntime
    session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
    return lambda ids: session.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0]


def open_openvino() -> Any:
    """A function from token ids [1, tokens] to logits [1, labels], or to a vector [1, width]."""
    import openvino
    options = {"INFERENCE_PRECISION_HINT": "f32"} if ENGINE["precision"] == "fp32" else {}
    compiled = openvino.Core().compile_model(HERE / "model.xml", "CPU", options)
    return lambda ids: compiled({"ids": ids, "mask": np.ones_like(ids)})[0]


def open_litert() -> Any:
    """A function from token ids [1, tokens] to what the model gives. A graph for each of a few lengths."""
    from ai_edge_litert.interpreter import Interpreter
    file = Interpreter(str(HERE / "model.tflite"))
    graphs = {int(name.split("_")[1]): file.get_signature_runner(name) for name in file.get_signature_list()}

    def answer(ids: Any) -> Any:
        length = min(one for one in graphs if one >= ids.size)
        wide = np.full((2, 1, length), [[[ENGINE["pad"]]], [[0]]], np.int32)  # ids and mask
        wide[:, :, :ids.size] = ids, np.ones_like(ids)
        return next(iter(graphs[length](ids=wide[0], mask=wide[1]).values()))
    return answer


def classify(model: Any, text: str) -> dict[str, float]:
    """Calibrated probability of each label."""
    ids = TOKENIZER.encode(text).ids or [ENGINE["empty"]]
    scores = model(np.array([ids], np.int64))[0].astype(np.float64) / TASK["temperature"]
    each = 1 / (1 + np.exp(-scores)) if TASK["multi_label"] else np.exp(scores - scores.max())
    return dict(zip(TASK["labels"], (each if TASK["multi_label"] else each / each.sum()).tolist(), strict=True))


def embed(model: Any, text: str) -> list[float]:
    """Its vector."""
    ids = TOKENIZER.encode(text).ids or [ENGINE["empty"]]
    return [float(one) for one in model(np.array([ids], np.int64))[0]]


if __name__ == "__main__":
    run = globals()[f"open_{ENGINE['kind']}"]()
    answer = globals()["embed" if ENGINE.get("gives") == "vector" else "classify"]
    for line in sys.argv[1:] or (line.rstrip("\n") for line in sys.stdin):
        print(json.dumps(answer(run, line), ensure_ascii=False), flush=True)
