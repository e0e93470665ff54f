"""Fine-tune SmolLM2-135M with LoRA on the patient reviews: Seedbed beside transformers' Trainer with PEFT.

    python benchmarks/train.py               # both, to the same held-out loss; an hour or more for the peer
    python benchmarks/train.py --minutes 10  # the peer is stopped after ten minutes, and its rate is compared

Same rows, same split, same tokens a text, rank 16 on every linear layer. The peer runs the standard recipe with its
defaults: `AutoModelForSequenceClassification`, fp32 weights, batches of 8 padded to their longest, learning rate 5e-5
falling to 0 over 3 epochs, all 30 layers. Both are judged by the same unweighted cross-entropy on the validation
rows. Each runs in a process of its own, one after the other, and the second starts with a cold cache like the first.

Other work on the machine may slow one side more than the other. So each side also says which share of the processor
it had (`busy`, of all threads), and the ratios are of seconds times that share: what it would take alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LENGTH = 256
RANK = 16


def rows() -> tuple[Any, list[str], list[str], list[str], list[str]]:
    """(task, training texts and targets, validation texts and targets)"""
    from seedbed.catalog.datasets import pull_dataset
    from seedbed.data.read import read
    from seedbed.data.split import split
    from seedbed.tasks.classify import Classify
    data = split(read(pull_dataset("patient-reviews")["train"], text="review", label="rating").dataset,
                 fractions=(0.8, 0.2, 0.0))
    learn, held = data.part("train"), data.part("validation")
    return Classify.from_targets(data.targets), learn.texts, learn.targets, held.texts, held.targets


def model_folder() -> Path:
    from seedbed.catalog.cards import card
    from seedbed.catalog.fetch import pull
    from seedbed.models.folder import open_folder
    return open_folder(pull(card("smollm2-135m-instruct")))


def say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


class Watch:
    """Seconds since it was made, and the share of the processor that this process had."""

    def __init__(self) -> None:
        self.begin, self.used = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begin

    @property
    def busy(self) -> float:
        from seedbed.settings import settings
        return (time.process_time() - self.used) / self.seconds / settings().threads


def measure(task: Any, logits: Any, targets: list[str]) -> dict[str, float]:
    """Unweighted cross-entropy and macro-F1."""
    import numpy as np
    from sklearn.metrics import f1_score, log_loss
    y = task.encode(targets)
    chances = task.probabilities(np.asarray(logits, np.float32))
    return {"loss": float(log_loss(y, chances, labels=list(range(len(task.labels))))),
            "macro_f1": float(f1_score(y, chances.argmax(1), average="macro"))}


def ours() -> None:
    """Seedbed's candidate `lora` with its defaults; each evaluation of the loop is a point."""
    from seedbed.machine import peak_memory
    from seedbed.models.backbone import Backbone
    from seedbed.train import classify
    from seedbed.train.config import TrainConfig
    from seedbed.train.lesson import Lesson
    task, texts, targets, held, truth = rows()
    folder = model_folder()
    tokens = sum(map(len, Backbone.open(folder, max_tokens=LENGTH).tokens(texts)))
    watch = Watch()
    config = TrainConfig(max_tokens=LENGTH, rank=RANK)
    fitted = classify.lora(Lesson(task, texts, targets, held, truth, config=config, model=folder))
    total, busy = watch.seconds, watch.busy
    last = fitted.history[-1]
    start = total - last["seconds"]  # loading and the frozen layers come before the loop's own clock
    for point in fitted.history:
        say(seconds=start + point["seconds"], loss=point["plain_loss"], macro_f1=point["score"])
    say(done=True, seconds=total, busy=busy, peak_gb=peak_memory() / 1e9,
        tokens_per_second=tokens * last["epoch"] / total, **measure(task, fitted.classifier.logits(held), truth))


def peer(minutes: float) -> None:
    """transformers' Trainer and PEFT, evaluated four times an epoch."""
    import numpy as np
    import torch
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from seedbed.machine import peak_memory
    from seedbed.settings import settings
    torch.set_num_threads(settings().threads)
    task, texts, targets, held, truth = rows()
    folder = model_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    watch = Watch()
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(task.labels),
                                                               dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id
    model = get_peft_model(model, LoraConfig(task_type=TaskType.SEQ_CLS, r=RANK, lora_alpha=2 * RANK,
                                             target_modules="all-linear"))
    made = [[{**tokenizer(text, truncation=True, max_length=LENGTH), "labels": label}
             for text, label in zip(some, task.encode(labels).tolist(), strict=True)]
            for some, labels in ((texts, targets), (held, truth))]
    tokens = sum(len(row["input_ids"]) for row in made[0])
    excluded = [0.0]

    class Points(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
            excluded[0] += metrics["eval_runtime"]
            spent = watch.seconds - excluded[0]  # its evaluations are not held against it
            say(seconds=spent, loss=metrics["eval_loss"], macro_f1=metrics["eval_macro_f1"],
                tokens_per_second=tokens * state.epoch / spent)
            control.should_training_stop = control.should_training_stop or spent > minutes * 60

    def figures(prediction: Any) -> dict[str, float]:
        return measure(task, prediction.predictions, [task.labels[i] for i in np.asarray(prediction.label_ids)])

    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(model, TrainingArguments(out, use_cpu=True, report_to=[], save_strategy="no",
                                                   eval_strategy="steps", eval_steps=15, disable_tqdm=True,
                                                   logging_strategy="no"),
                          DataCollatorWithPadding(tokenizer), made[0], made[1], compute_metrics=figures,
                          callbacks=[Points()])
        trainer.train()
    say(done=True, seconds=watch.seconds - excluded[0], busy=watch.busy, peak_gb=peak_memory() / 1e9)


def run(script: str, *arguments: str) -> list[dict[str, Any]]:
    """Run one side in a process of its own and show its points as they come."""
    points = []
    with subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            if line.startswith('{"'):  # the peer prints dictionaries of its own
                points.append(json.loads(line))
                print("  ", {k: round(v, 3) for k, v in points[-1].items()}, flush=True)
    return points


def compare(mine: list[dict[str, Any]], theirs: list[dict[str, Any]], figures: dict[str, int]) -> None:
    """Ratios: tokens a second; seconds to what the peer reached at its best.

    Args:
        figures: by name, 1 where less is better and -1 where more is.
    """
    mine, theirs = ([{**point, "seconds": point["seconds"] * side[-1]["busy"]} for point in side]
                    for side in (mine, theirs))
    rates = mine[-1]["tokens_per_second"] / mine[-1]["busy"], theirs[-2]["tokens_per_second"] / theirs[-1]["busy"]
    print(f"\ntraining tokens a second: {rates[0]:.0f} against {rates[1]:.0f}, {rates[0] / rates[1]:.1f} times")
    for figure, sign in figures.items():
        there = min((point for point in theirs if figure in point), key=lambda point: sign * point[figure])
        reached = next((one for one in mine if figure in one and sign * one[figure] <= sign * there[figure]), None)
        print(f"seconds to {figure} {there[figure]:.3f}, the peer's best: " + (
            "Seedbed did not reach it" if reached is None else f"{reached['seconds']:.0f} against "
            f"{there['seconds']:.0f}, {there['seconds'] / reached['seconds']:.1f} times"))
    print(f"peak memory: {mine[-1]['peak_gb']:.1f} GB against {theirs[-1]['peak_gb']:.1f} GB")
    print(f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--side", choices=("ours", "peer"))
    asked = parser.parse_args()
    if asked.side == "ours":
        ours()
    elif asked.side == "peer":
        peer(asked.minutes)
    else:
        print("seedbed, lora:")
        left = run(__file__, "--side", "ours")
        print("transformers Trainer + PEFT:")
        compare(left, run(__file__, "--side", "peer", "--minutes", str(asked.minutes)), {"loss": 1, "macro_f1": -1})
