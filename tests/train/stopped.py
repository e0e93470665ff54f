"""Trains a toy in child processes that are stopped at chosen lines of the loop. Run as a script by test_loop.py.

torch is imported once; each child is a fork of this process, which itself never computes a gradient.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch._dynamo  # the optimizer imports it at its first step; here once for all children
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from seedbed.train import loop
from seedbed.train.batches import Buckets
from seedbed.train.config import TrainConfig

WATCHED = (loop.__file__, importlib.import_module("torch.optim.adam").__file__)
CONFIG = TrainConfig(epochs=5, patience=2, batch_texts=6, checkpoint_seconds=0.0, dropout=0.3, ema=0.5)
Event = tuple[str, int]
MOST = {"_save": 99, "_write": 3, "train": 4, "_multi_tensor_adam": 4}
"""Functions of the loop and of AdamW, and at how many of their lines a run is stopped."""


def learn(folder: Path) -> None:
    """A small network with dropout; early stopping ends it. Writes what came out beside the checkpoint."""
    torch.set_num_threads(1)
    chance = torch.Generator().manual_seed(1)
    x, y = torch.randn(30, 6, generator=chance), torch.randint(0, 3, (30,), generator=chance)
    weights = {"a": torch.randn(8, 6, generator=chance) / 3, "b": torch.zeros(8), "c": torch.zeros(3, 8)}
    for tensor in weights.values():
        tensor.requires_grad_()
    training = [True]

    def scores(rows: list[int]) -> torch.Tensor:
        hidden = F.dropout(torch.tanh(x[rows] @ weights["a"].t() + weights["b"]), CONFIG.dropout, training[0])
        return hidden @ weights["c"].t()

    def validate() -> tuple[float, dict[str, float]]:
        with torch.no_grad():  # random labels: it gets worse soon
            return float(F.cross_entropy(scores(list(range(20, 30))), y[20:])), {"score": 0.5}

    done = loop.train(weights, lambda rows: F.cross_entropy(scores(rows), y[rows]),
                      Buckets([1] * 20, CONFIG.batch_texts, 2048, 4), validate, CONFIG, seed=4, learning_rate=0.05,
                      mode=lambda on: training.__setitem__(0, on), folder=folder)
    save_file({name: p.detach() for name, p in weights.items()}, folder.parent / "final.safetensors")
    history = [{k: v for k, v in entry.items() if k != "seconds"} for entry in done.history]
    (folder.parent / "final.json").write_text(json.dumps([history, done.steps, done.best_step, done.ended]))


def outcome(folder: Path) -> tuple[bytes, str]:
    """Weights and history, to be compared bit for bit."""
    tensors = load_file(folder.parent / "final.safetensors")
    return b"".join(tensors[k].numpy().tobytes() for k in sorted(tensors)), (folder.parent / "final.json").read_text()


def child(work: Callable[[], None]) -> int:
    """Exit status of a fork that does the work: 0, 3 for Ctrl-C, -9 for a kill."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except KeyboardInterrupt:
            os._exit(3)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def watched(folder: Path, on_line: Callable[[Event, int], None]) -> Callable[[], None]:
    """`learn`, telling each line of the loop and of AdamW before it runs, and how many ran before."""
    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            counted[0] += 1
            on_line((frame.f_code.co_name, frame.f_lineno), counted[0])
        return trace
    counted = [0]

    def work() -> None:
        sys.settrace(trace)
        try:
            learn(folder)
        finally:
            sys.settrace(None)
    return work


def lines(folder: Path) -> list[Event]:
    """Every line of an undisturbed run, in order."""
    listing = folder.parent / "lines.json"
    seen: list[Event] = []

    def work() -> None:
        watched(folder, lambda event, count: seen.append(event))()
        listing.write_text(json.dumps(seen))
    assert child(work) == 0
    return [(name, line) for name, line in json.loads(listing.read_text())]


def stop_at(folder: Path, number: int, sign: signal.Signals) -> int:
    """A run that sends itself the signal before its `number`-th line."""
    def on_line(event: Event, count: int) -> None:
        if count == number:
            sys.settrace(None)
            os.kill(os.getpid(), sign)
    if sign == signal.SIGINT:
        return child(lambda: (signal.signal(sign, signal.default_int_handler), watched(folder, on_line)())[1])
    return child(watched(folder, on_line))


def main(home: Path, sign: signal.Signals) -> dict[str, Any]:
    """Stop and resume many runs; each must end as the undisturbed one."""
    def place(name: str) -> Path:
        (home / name).mkdir(parents=True)
        return home / name / "checkpoint"
    straight = place("straight")
    every = lines(straight)
    expected = outcome(straight)
    pick = random.Random(11)
    stopped, different, status = 0, [], {signal.SIGKILL: -9, signal.SIGINT: 3}[sign]

    # one run stopped again and again at random lines
    chain = place("chain")
    while True:
        code = stop_at(chain, pick.randrange(50, len(every) // 4), sign)
        if code == 0:
            break
        assert code == status, code
        stopped += 1
    if outcome(chain) != expected:
        different.append("chain")

    # one run a line: all of those that swap a checkpoint in, some of the others
    numbers: dict[Event, list[int]] = {}
    for number, event in enumerate(every, 1):
        numbers.setdefault(event, []).append(number)
    for name, most in MOST.items():
        kind = sorted(event for event in numbers if event[0] == name)
        for event in set(kind) - set(pick.sample(kind, min(most, len(kind)))):
            del numbers[event]
    numbers = {event: found for event, found in numbers.items() if event[0] in MOST}
    for event, found in sorted(numbers.items()):
        folder = place(f"{event[0]}-{event[1]}")
        code = stop_at(folder, found[len(found) // 2], sign)
        assert code == status, (event, code)
        stopped += 1
        assert child(lambda folder=folder: learn(folder)) == 0, event
        if outcome(folder) != expected:
            different.append(f"{event[0]}:{event[1]}")
    return {"lines": len(every), "stopped": stopped, "distinct": len(numbers), "different": different,
            "functions": sorted({name for name, _ in numbers}), "ended": json.loads(expected[1])[3],
            "steps": json.loads(expected[1])[1]}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), signal.Signals[sys.argv[2]])))
