"""What `test_device.py` runs in a process of its own, since a device that is added to torch stays.

Each case is done on the CPU and on the second device, from the same seed; it gives numbers.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import test_classify
import test_distill
import test_embed
import test_generate
import test_prefer
import test_train_entities
import tiny
import torch
from second_device import install
from test_generate import QUICK

from seedbed.engines.many import answers
from seedbed.engines.sampling import Sampling
from seedbed.engines.writer import Writer
from seedbed.models import backbone, runtime
from seedbed.models.backbone import Backbone
from seedbed.train import classify, entities
from seedbed.train.distill import distill
from seedbed.train.embed import embed
from seedbed.train.generate import write
from seedbed.train.prefer import prefer
from seedbed.train.student import Tuned

Backbone.open(tiny.model("llama"))  # first loaded with the device, models had garbage for RoPE, on the CPU too
CPU, AWAY = torch.device("cpu"), install()
SHORT = dataclasses.replace(QUICK, epochs=2)


def on(device: torch.device) -> None:
    chosen = runtime.Runtime(torch.float32, 1, None, None, "fp32: a test", device)
    backbone.runtime = lambda: chosen  # type: ignore[attr-defined]


def numbers(tuned: Tuned) -> list[float]:
    losses = [step[name] for step in tuned.trained.history for name in ("train_loss", "validation_loss")]
    return [*losses, *tuned.before.nats.tolist(), *tuned.after.nats.tolist()]


def taught(family: str, **options: Any) -> Callable[[], list[float]]:
    method = options.pop("method", "lora")
    return lambda: numbers(write(test_generate.lesson(family, dataclasses.replace(SHORT, **options), method=method)))


def distilled() -> list[float]:
    made = distill(test_distill.pupil(tiny.model("llama"), dataclasses.replace(
        test_distill.CONFIG, epochs=2, temperature=2.0, teacher_share=0.5)))
    return [*numbers(made.tuned), *made.nats.tolist()]


def embedded() -> list[float]:
    given = test_embed.lesson("bert", "full", epochs=1)
    done = embed(dataclasses.replace(given, pairs=given.pairs[:20], held=given.held[:8]))
    return [float(one) for one in (*done.after.questions[:4].ravel(), *done.after.documents[:4].ravel())]


def sorted_out() -> list[float]:
    one = test_classify.lesson("bert", 16, dataclasses.replace(test_classify.QUICK, epochs=1, ema=0.5))
    return [float(i) for i in classify.lora(one).classifier.logits(one.texts).ravel()]


def marked() -> list[float]:
    made = entities.lora(test_train_entities.lesson("bert", dataclasses.replace(
        test_train_entities.QUICK, epochs=1)))
    found = made.tagger.spans(test_train_entities.rows(8, 3)[0])
    return [float(i) for some in found for one in some for i in (one.start, one.end, one.confidence)]


def written(family: str) -> list[float]:
    """The words themselves, from one at a time and from a batch, likeliest and drawn."""
    writer = Writer(Backbone.open(tiny.model(family), vocabulary=True, max_tokens=64))
    asked = [[{"role": "user", "content": text}] for text in ("the box was", "great", "it came on monday")]
    texts = [*answers(writer, asked, Sampling(9)), *answers(writer, asked, Sampling(9, temperature=1.0)),
             "".join(writer.answer(asked[0], Sampling(9, temperature=1.0)))]
    return [float(ord(letter)) for letter in "|".join(texts)]


def resumed() -> list[float]:
    """Begun on this device and ended on the CPU."""
    folder, away = Path(sys.argv[1]) / time.strftime(f"%H%M%S-{id(object())}"), backbone.runtime().device
    write(test_generate.lesson("llama", dataclasses.replace(SHORT, ema=0.5), folder=folder))
    on(CPU)
    tuned = write(test_generate.lesson("llama", dataclasses.replace(SHORT, epochs=3, ema=0.5), folder=folder))
    on(away)
    return numbers(tuned)


CASES: dict[str, Callable[[], Sequence[float]]] = {
    "lora": taught("llama"),
    "whole weights of a sliding window": taught("gemma3", method="full", epochs=1, learning_rate=1e-3),
    "an encoder-decoder": taught("t5", epochs=1),
    "packed and computed again": taught("qwen2", epochs=1, packing=True, checkpointing=True),
    "preferences": lambda: numbers(prefer(test_prefer.lesson("dpo", config=dataclasses.replace(QUICK, epochs=1)))),
    "a teacher": distilled, "pairs": embedded, "labels": sorted_out, "entities": marked,
    "words of a decoder": lambda: written("llama"), "words of an encoder-decoder": lambda: written("bart"),
    "resumed on the CPU": resumed,
}


def left_behind() -> str:
    """What is said when token ids stay on the CPU."""
    padded = Backbone.padded
    Backbone.padded = lambda self, rows: dataclasses.replace(  # type: ignore[method-assign]
        padded(self, rows), ids=padded(self, rows).ids.cpu())
    try:
        write(test_generate.lesson("llama", SHORT))
    except RuntimeError as problem:
        return str(problem)
    finally:
        Backbone.padded = padded  # type: ignore[method-assign]
    return ""


def main() -> None:
    torch.set_num_threads(1)
    wanted = sys.argv[2:] or list(CASES)
    out: dict[str, Any] = {}
    for name in wanted:
        pair = []
        for device in (CPU, AWAY):
            on(device)
            pair.append([float(one) for one in CASES[name]()])
        out[name] = pair
        print(f"{name}: {len(pair[0])} numbers", file=sys.stderr)
    out["left behind"] = left_behind()
    print(json.dumps(out))


if __name__ == "__main__":
    main()
