from __future__ import annotations

import errno
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seedbed.cli.door import explain
from seedbed.errors import CorruptFile, NoResources, UserError
from seedbed.train import loop
from seedbed.train.batches import Buckets
from seedbed.train.config import TrainConfig
from seedbed.train.loop import Trained, train

WAYS = {"epochs": 4, "patience": 4, "batch_texts": 5, "checkpoint_seconds": 0.0}


@pytest.fixture(autouse=True)
def _keeps_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three numbers leave no holes in the heap; giving it back after each of a thousand epochs takes minutes."""
    monkeypatch.setattr(loop, "return_freed", lambda: None)


class Toy:
    """A line through points; `worse_after` makes validation get worse from that evaluation on."""

    def __init__(self, worse_after: int | None = None) -> None:
        chance = torch.Generator().manual_seed(0)
        self.x = torch.randn(20, 3, generator=chance)
        self.y = self.x @ torch.tensor([1.0, -2.0, 0.5]) + 0.3
        self.weights = {"w": torch.zeros(1, 3, requires_grad=True), "b": torch.zeros(1, requires_grad=True)}
        self.worse_after, self.figures, self.kept = worse_after, list[float](), list[Tensor]()
        self.modes: list[bool] = []
        self.steps = 0

    def loss(self, rows: list[int]) -> Tensor:
        self.steps += 1
        return ((self.x[rows] @ self.weights["w"][0] + self.weights["b"] - self.y[rows]) ** 2).mean()

    def validate(self) -> tuple[float | None, dict[str, float]]:
        with torch.no_grad():
            figure = float(self.loss(list(range(20))))
        self.steps -= 1
        if self.worse_after is not None and len(self.figures) >= self.worse_after:
            figure = 100.0 + len(self.figures)
        self.figures.append(figure)
        self.kept.append(self.weights["w"].detach().clone())
        return figure, {"score": 0.1}

    def train(self, loss: Callable[[list[int]], Tensor] | None = None, *, rate: float = 0.05,
              folder: Path | None = None, deadline: float | None = None, **options: Any) -> Trained:
        config = TrainConfig(**{**WAYS, **options})
        return train(self.weights, loss or self.loss, Buckets([1] * 20, config.batch_texts, 2048, 1), self.validate,
                     config, seed=1, learning_rate=rate, mode=self.modes.append, folder=folder, deadline=deadline)


def test_it_converges() -> None:
    toy = Toy()
    done = toy.train(epochs=60, patience=60, weight_decay=0.0)
    assert done.steps == 240 == toy.steps
    assert len(done.history) == 60
    assert toy.figures[-1] < 1e-3 < toy.figures[0]
    assert torch.allclose(toy.weights["w"], torch.tensor([[1.0, -2.0, 0.5]]), atol=0.05)
    assert done.ended == "all epochs done"
    assert [entry["step"] for entry in done.history] == list(range(4, 241, 4))
    assert set(done.history[0]) == {"step", "epoch", "train_loss", "seconds", "validation_loss", "score"}
    assert toy.modes == [True, False] * 60 + [False]


def test_the_best_weights_are_kept_and_not_the_last() -> None:
    toy = Toy(worse_after=3)
    done = toy.train(epochs=20, patience=2)
    assert done.ended == "no better for 2 evaluations"
    assert len(done.history) == 5 == 3 + 2
    assert (done.steps, done.best_step) == (20, 12)
    assert torch.equal(toy.weights["w"], toy.kept[2])
    assert not torch.equal(toy.weights["w"], toy.kept[4])
    assert done.note == "no better for 2 evaluations; the weights of step 12 of 20 were kept"


def test_without_a_figure_the_latest_are_kept() -> None:
    toy = Toy()
    real = toy.validate
    toy.validate = lambda: (None, real()[1])  # type: ignore[method-assign]
    done = toy.train(epochs=3)
    assert (done.steps, done.best_step) == (12, 12)
    assert torch.equal(toy.weights["w"], toy.kept[-1])
    assert all("validation_loss" not in entry for entry in done.history)


def test_an_early_stopped_run_that_is_resumed_does_not_train_on(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    first = Toy(worse_after=3).train(epochs=20, patience=2, folder=folder)
    again = Toy()
    second = again.train(epochs=20, patience=2, folder=folder)
    assert again.steps == 0
    assert (second.history, second.steps, second.ended) == (first.history, first.steps, first.ended)


def test_the_deadline_ends_it_and_a_resumed_run_goes_on_where_it_stood(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    toy = Toy()
    done = toy.train(deadline=time.monotonic() - 1, folder=folder)
    assert (done.steps, toy.steps, len(done.history)) == (1, 1, 1)
    assert done.ended == "the time budget ended"
    later = Toy()
    rest = later.train(folder=folder)
    assert later.steps == 15  # 4 epochs of 4 steps, one of them done: no text is left out
    assert (rest.steps, rest.ended) == (16, "all epochs done")


def test_with_a_deadline_the_learning_rate_falls_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    toy, clock, asked = Toy(), [1000.0], list[int]()
    share = loop._share
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(loop, "_share", lambda step, *more: asked.append(step) or share(step, *more))

    def loss(rows: list[int]) -> Tensor:
        clock[0] += 10
        return toy.loss(rows)
    done = toy.train(loss, epochs=10, deadline=1000 + 95)
    assert (done.steps, done.ended) == (10, "the time budget ended")
    assert asked == [int(40 * 10 * i / 95) for i in range(10)]  # of 40 steps: the tenth stands near the end
    assert asked[-1] == 37
    quick = Toy()
    asked.clear()
    quick.train(epochs=3, deadline=clock[0] + 1e6)
    assert asked == list(range(12))  # the steps are ahead of the time: nothing changes


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_its_rows(bad: float, folder: bool, tmp_path: Path) -> None:
    toy, seen = Toy(), list[list[int]]()

    def loss(rows: list[int]) -> Tensor:
        seen.append(rows)
        return toy.loss(rows) * (bad if len(seen) == 3 else 1)
    with pytest.raises(UserError, match=f"The loss became {bad} at step 2, batch of 5 texts") as told:
        toy.train(loss, folder=tmp_path / "checkpoint" if folder else None)
    assert "--learning-rate" in told.value.hint
    found = list(tmp_path.rglob("bad_batch.json"))
    assert len(found) == folder
    if folder:
        assert str(found[0]) in told.value.message
        assert json.loads(found[0].read_text()) == {"step": 2, "rows": seen[2], "loss": str(bad)}


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), "words"])
def test_a_full_disk_keeps_the_checkpoint_before(problem: Any, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    folder = tmp_path / "checkpoint"
    if problem == "words":  # what safetensors 0.8 says on a full disk
        problem = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    calls, real = [0], loop.save_file

    def save_file(*args: Any) -> None:
        calls[0] += 1
        if calls[0] > 5:  # two files a checkpoint: the third has its first file
            raise problem
        real(*args)
    monkeypatch.setattr(loop, "save_file", save_file)
    with pytest.raises(NoResources, match="The disk is full: the checkpoint") as told:
        Toy().train(folder=folder)
    assert explain(told.value) is told.value
    assert not folder.with_name("checkpoint.part").exists()  # it gave back the space it took
    assert json.loads((folder / "state.json").read_text())["step"] == 2
    monkeypatch.undo()
    torch.set_num_threads(1)
    straight, resumed = Toy(), Toy()
    straight.train()
    resumed.train(folder=folder)
    assert resumed.steps == 14
    assert torch.equal(resumed.weights["w"], straight.weights["w"])


def test_another_error_in_saving_is_not_called_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save_file(*args: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(loop, "save_file", save_file)
    with pytest.raises(OSError, match="Input/output error"):
        Toy().train(folder=tmp_path / "checkpoint")


@pytest.mark.parametrize("at", [1, 3, 4, 9])
def test_ctrl_c_writes_a_checkpoint_and_goes_on(at: int, tmp_path: Path) -> None:
    folder, toy = tmp_path / "checkpoint", Toy()

    def loss(rows: list[int]) -> Tensor:
        if toy.steps == at:
            raise KeyboardInterrupt
        return toy.loss(rows)
    with pytest.raises(KeyboardInterrupt):
        toy.train(loss, folder=folder, checkpoint_seconds=1e9)
    assert json.loads((folder / "state.json").read_text())["step"] == at
    straight, resumed = Toy(), Toy()
    a, b = straight.train(), resumed.train(folder=folder)
    assert resumed.steps == 16 - at
    assert all(torch.equal(straight.weights[k], resumed.weights[k]) for k in straight.weights)
    assert [{**e, "seconds": 0} for e in a.history] == [{**e, "seconds": 0} for e in b.history]


def test_it_trains_outside_the_main_thread(tmp_path: Path) -> None:
    toy, done = Toy(), list[Trained]()
    thread = threading.Thread(target=lambda: done.append(toy.train(folder=tmp_path / "checkpoint")))
    thread.start()
    thread.join(60)
    assert done[0].steps == 16


def test_a_kill_between_the_two_renames_is_mended(tmp_path: Path) -> None:
    folder, toy = tmp_path / "checkpoint", Toy()
    toy.train(epochs=2, folder=folder)
    folder.rename(tmp_path / "checkpoint.old")
    (tmp_path / "checkpoint.part").mkdir()
    (tmp_path / "checkpoint.part" / "state.json").write_text("{ half")
    again = Toy()
    again.train(epochs=2, folder=folder)
    assert again.steps == 0
    assert torch.equal(again.weights["w"], toy.weights["w"])


@pytest.mark.parametrize("name", ["state.json", "weights.safetensors", "best.safetensors"])
@pytest.mark.parametrize("content", [b"", b"[1]", b"\x00" * 40])
def test_a_broken_checkpoint_is_told(name: str, content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    Toy().train(epochs=1, folder=folder)
    (folder / name).write_bytes(content)
    with pytest.raises(CorruptFile, match="cannot be read") as told:
        Toy().train(epochs=1, folder=folder)
    assert str(folder) in told.value.hint


@pytest.mark.parametrize("sign", ["SIGKILL", pytest.param("SIGINT", marks=pytest.mark.slow)])
def test_stopped_anywhere_and_resumed_it_ends_the_same_bit_for_bit(sign: str, tmp_path: Path) -> None:
    """Weights and history of runs stopped at lines of the loop and of AdamW; dropout makes chance matter."""
    done = subprocess.run([sys.executable, str(Path(__file__).parent / "stopped.py"), str(tmp_path), sign],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["different"] == []
    assert told["stopped"] >= 20
    assert {"_save", "_write", "train", "_multi_tensor_adam"} <= set(told["functions"])
    assert told["ended"] == "no better for 2 evaluations"


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd"])
def test_the_rate_rises_then_falls(schedule: str) -> None:
    shares = [loop._share(step, 100, 0.1, schedule) for step in range(100)]
    assert shares[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert max(shares) == 1.0
    assert all(a >= b for a, b in pairwise(shares[9:]))
    assert 0.1 <= shares[-1] < 0.15
    assert loop._share(0, 1, 0.0, schedule) == 1.0
    level = sum(share == 1.0 for share in shares)
    assert level == (72 if schedule == "wsd" else 2)
    assert shares[55] == pytest.approx(1.0 if schedule == "wsd" else 0.55)
    assert min(loop._share(step, 10, 0.9, schedule) for step in range(10)) >= 0.1  # a rise that leaves no room


def test_gradients_of_several_batches_make_one_step(tmp_path: Path) -> None:
    """Two batches of 5 are one step, that of their mean; resumed it goes on after a whole step."""
    toy, straight = Toy(), Toy()
    done = toy.train(epochs=2, accumulate=2, folder=tmp_path / "checkpoint")
    assert (done.steps, toy.steps) == (4, 8)

    def both(parts: list[int]) -> Tensor:
        order = Buckets([1] * 20, 5, 2048, 1).epoch(straight.steps // 4)
        at = straight.steps % 4
        return (straight.loss(order[at]) + straight.loss(order[at + 1])) / 2
    config = TrainConfig(**{**WAYS, "epochs": 2, "batch_texts": 10})
    train(straight.weights, both, Buckets([1] * 20, 10, 2048, 1), straight.validate, config, seed=1,
          learning_rate=0.05)
    assert torch.allclose(toy.weights["w"], straight.weights["w"], atol=1e-6)
    odd = Toy()
    assert odd.train(epochs=1, accumulate=3).steps == 2  # four batches: three and one


def test_the_average_is_judged_and_kept() -> None:
    plain, toy = Toy(), Toy()
    plain.train()
    toy.train(ema=0.9)
    assert not torch.allclose(toy.weights["w"], plain.weights["w"])
    assert torch.equal(toy.weights["w"], toy.kept[-1])  # what was judged last, and best, is what is left


def test_biases_are_not_decayed() -> None:
    groups = loop._groups(Toy().weights, 0.5)
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, 0.5), (1, 0.0)]
