"""Texts a second of every engine for classification, beside `transformers.pipeline`, on the same weights.

    python benchmarks/engines.py

The sentence encoder MiniLM with a random head answers test reviews. Rounds alternate in one process, so that other
work on the machine takes from all alike; medians are printed, and the ratio to the pipeline with its defaults (fp32,
one text at a time). Texts a processor second do not depend on how busy the machine is: take SEEDBED_THREADS=1. The
artefacts are written by the export targets. How far they are from torch is printed too: no speed without it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from predict import CARDS, LENGTH, pair

FORMS = ("openvino:fp32", "openvino:int8", "onnx:fp32", "onnx:int8")


def engines(model: Any, place: Path, forms: tuple[str, ...]) -> dict[str, Any]:
    """The classifier in torch and as each form."""
    from seedbed.engines.base import load_classifier
    from seedbed.engines.transformer import TransformerHead
    from seedbed.export.targets import TARGETS, asked

    (place / "torch").mkdir()
    model.save(place / "torch")
    out = {"torch": load_classifier(place / "torch")}
    for target, precision in asked(forms, TARGETS):
        folder = place / f"{target.name}-{precision}"
        folder.mkdir()
        target.write(TransformerHead.load(place / "torch", exactly=True), folder, precision)
        out[folder.name] = load_classifier(folder)
    return out


def main(rounds: int, count: int, forms: tuple[str, ...]) -> None:
    from seedbed.catalog.datasets import pull_dataset
    from seedbed.data.read import read

    texts = read(pull_dataset("patient-reviews")["test"], text="review", label="rating").dataset.texts[:count]
    model, pipeline = pair(CARDS[0], 3)
    with tempfile.TemporaryDirectory() as place:
        ours = engines(model, Path(place), forms)
        answer: dict[str, Callable[[list[str]], Any]] = {name: one.logits for name, one in ours.items()}
        answer["pipeline"] = lambda some: pipeline(some, truncation=True, max_length=LENGTH, top_k=None)
        bulk, single, worked = ({name: list[float]() for name in answer} for _ in range(3))
        said = {name: one.logits(texts) for name, one in ours.items()}
        for _ in range(rounds):
            for name, call in answer.items():
                begin, work = time.perf_counter(), time.process_time()
                call(texts)
                bulk[name].append(time.perf_counter() - begin)
                worked[name].append(time.process_time() - work)
                for text in texts[:8]:
                    begin = time.perf_counter()
                    call([text])
                    single[name].append(time.perf_counter() - begin)
    rates = {name: len(texts) / statistics.median(taken) for name, taken in bulk.items()}
    chances = {name: np.exp(one - one.max(1, keepdims=True)) for name, one in said.items()}
    chances = {name: one / one.sum(1, keepdims=True) for name, one in chances.items()}
    print("engine          texts/s  x pipeline  texts/processor s  ms a text  probability off by  same answer")
    for name, rate in rates.items():
        off, same = "", ""
        if name in chances:
            off = f"{np.abs(chances[name] - chances['torch']).max():.4f}"
            same = f"{(chances[name].argmax(1) == chances['torch'].argmax(1)).mean():.1%}"
        alone = statistics.median(single[name]) * 1e3
        steady = len(texts) / statistics.median(worked[name])
        print(f"{name:<14} {rate:8.1f} {rate / rates['pipeline']:11.2f} {steady:18.1f} {alone:10.1f} {off:>19} "
              f"{same:>12}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--forms", default=",".join(FORMS), help="what --to of seedbed export takes")
    given = parser.parse_args()
    sys.exit(main(given.rounds, given.texts, tuple(given.forms.split(","))))
