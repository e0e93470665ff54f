"""THE training loop. A method gives it parameters, a loss and batches; it knows no task and no model."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import CorruptFile, NoResources, UserError, lacking
from ..models.runtime import return_freed
from ..progress import SILENT, Progress
from . import team
from .average import Average, copy
from .config import LoopConfig
from .interrupt import held_back

SLOTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of each parameter."""
AVERAGE = "average"
STATE, WEIGHTS, BEST = "state.json", "weights.safetensors", "best.safetensors"


class Batches(Protocol):
    """Positions of each batch of an epoch, the same for the same epoch."""

    def epoch(self, number: int) -> list[list[int]]: ...


@dataclass
class State:
    """Where training stands; all that a checkpoint holds beside the tensors."""

    step: int = 0
    epoch: int = 0
    place: int = 0
    """Batches of this epoch that are done."""
    best: float = math.inf
    bad: int = 0
    """Evaluations since the best one."""
    best_step: int = 0
    running: float = 0.0
    """Sum of training losses since the last evaluation."""
    counted: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """What a loop did: the history of evaluations, why it ended, and which step's weights were kept."""

    history: list[dict[str, float]]
    steps: int
    best_step: int
    ended: str
    seconds: float
    earlier: float = 0.0
    """Seconds of it that were in processes before this one."""

    @property
    def epochs(self) -> float:
        """Passes over the training texts, the last one perhaps in part."""
        return self.history[-1]["epoch"] if self.history else 0.0

    @property
    def note(self) -> str:
        """One clause for people."""
        return f"{self.ended}; the weights of step {self.best_step} of {self.steps} were kept"


def train(parameters: dict[str, Tensor], loss: Callable[[list[int]], Tensor], batches: Batches,
          validate: Callable[[], tuple[float | None, dict[str, float]]], config: LoopConfig, *, seed: int,
          learning_rate: float, mode: Callable[[bool], object] = lambda training: None, work: str = "train",
          folder: Path | None = None, deadline: float | None = None, progress: Progress = SILENT) -> Trained:
    """Minimize `loss` over `batches` with AdamW; the best weights by validation are in `parameters` afterwards.

    Args:
        parameters: named tensors to train, changed in place.
        loss: the mean loss of the texts at these positions; it may draw random numbers from torch.
        batches: which positions stand together.
        validate: after each epoch, the number to make small, and other figures for the history. None instead of
            the number: there is nothing to judge by, and the latest weights are kept.
        seed: fixes dropout; each step is seeded by itself, so a resumed run repeats an uninterrupted one.
        learning_rate: its peak; it rises linearly for `config.warmup` of the steps and falls as a cosine.
        mode: told True before training steps and False before validation.
        work: the name that `progress` shows.
        folder: where checkpoints go; an existing one is resumed. None keeps none.
        deadline: `time.monotonic()` after which training stops and the best weights are restored. The learning rate
            then falls with the time that is used up where that is ahead of the steps, so that a run which is cut
            short has settled (budgeted training, Li et al. 2020); such a run depends on the machine's speed.

    Raises:
        KeyboardInterrupt: Ctrl-C; the checkpoint is written first.
        NoResources: the disk is full; the checkpoint before stays whole.
        UserError: the loss is not a number; the batch is saved beside the checkpoint and named.
    """
    away = any(p.device.type != "cpu" for p in parameters.values())
    optimizer = torch.optim.AdamW(_groups(parameters, config.weight_decay), lr=learning_rate, foreach=not away,
                                  fused=away)
    accumulate = max(config.accumulate, team.size())
    per_epoch = max(1, -(-len(batches.epoch(0)) // accumulate))
    total = per_epoch * config.epochs
    state, best = State(), {name: p.detach().clone() for name, p in parameters.items()}
    average = Average(parameters, config.ema)
    if folder:
        _recover(folder)
    if folder and (folder / STATE).is_file():
        state, best = _load(folder, average, optimizer)
    state, best = _handed_on(state, average, best, optimizer)
    earlier = state.seconds
    begin, saved, late = time.monotonic() - state.seconds, time.monotonic(), False
    progress.start(work, total, "steps")
    progress.advance(work, state.step)

    def spent(steps: int) -> int:
        """The step at which the learning rate would stand if steps were time."""
        if deadline is None or deadline <= begin:
            return 0
        return int(steps * min(1.0, (time.monotonic() - begin) / (deadline - begin)))

    def checkpoint() -> None:
        state.seconds = time.monotonic() - begin
        if folder:
            with held_back():
                _save(folder, state, average, best, optimizer)

    try:
        while state.epoch < config.epochs and state.bad < config.patience and not late:
            order = batches.epoch(state.epoch)
            mode(True)
            while state.place < len(order):
                parts = order[state.place:state.place + accumulate]
                share = _share(max(state.step, spent(total)), total, config.warmup, config.schedule)
                rate = learning_rate * (share if deadline is None else team.told(share))
                for group in optimizer.param_groups:
                    group["lr"] = rate
                numbers = list[tuple[float, list[int]]]()
                for at, rows in team.mine(list(enumerate(parts))):
                    torch.manual_seed((seed * 1_000_003 + state.step) * accumulate + at)
                    value = loss(rows) / len(parts)
                    numbers.append((float(value.detach()), rows))
                    value.backward()  # type: ignore[no-untyped-call]
                if team.parted() and len(numbers) < -(-len(parts) // team.size()):  # the others need its part
                    (0 * loss(parts[0])).backward()  # type: ignore[no-untyped-call]
                found = [one for some in team.all_told(numbers) for one in some]
                if bad := next((one for one in found if not math.isfinite(one[0])), None):
                    raise _broken(*bad, state, folder)
                number = math.fsum(one for one, _ in found)
                team.add_gradients(parameters.values())
                torch.nn.utils.clip_grad_norm_(list(parameters.values()), config.max_norm)
                with held_back():
                    optimizer.step()
                    state.step, state.place = state.step + 1, state.place + len(parts)
                    average.update(state.step)
                    state.running, state.counted = state.running + number, state.counted + 1
                optimizer.zero_grad(set_to_none=True)
                progress.advance(work)
                if state.counted % 5 == 1:
                    progress.metric(work, loss=state.running / state.counted)
                if time.monotonic() - saved > config.checkpoint_seconds and state.place < len(order):
                    checkpoint()
                    saved = time.monotonic()
                if deadline is not None and team.told(time.monotonic() > deadline):
                    late = True
                    break
            mode(False)
            return_freed()  # batches of ever other lengths leave holes in the heap
            with average.shown():
                figure, others = team.told(validate() if team.leads() or team.parted() else (None, {}))
            if figure is not None:
                progress.metric(work, validation=figure)
            with held_back():
                state.history.append({"step": state.step, "epoch": state.step / per_epoch,
                                      "train_loss": state.running / max(1, state.counted),
                                      "seconds": time.monotonic() - begin,
                                      **({} if figure is None else {"validation_loss": figure}), **others})
                state.running, state.counted = 0.0, 0
                if state.place >= len(order):  # else the deadline cut the epoch: resumed, it goes on
                    state.epoch, state.place = state.epoch + 1, 0
                if figure is None or figure < state.best:
                    state.best, state.bad, state.best_step = state.best if figure is None else figure, 0, state.step
                    copy(average.values, best)
                else:
                    state.bad += 1
            checkpoint()
            saved = time.monotonic()
    except KeyboardInterrupt:
        checkpoint()
        raise
    mode(False)
    copy(best, parameters)
    progress.done(work)
    ended = "the time budget ended" if late else "all epochs done" if state.bad < config.patience else \
        f"no better for {config.patience} evaluations"
    return Trained(state.history, state.step, state.best_step, ended, time.monotonic() - begin, earlier)


def _handed_on(state: State, average: Average, best: dict[str, Tensor],
               optimizer: torch.optim.Optimizer) -> tuple[State, dict[str, Tensor]]:
    """What the leading process has loaded, for all."""
    if team.size() == 1:
        return state, best
    slots = {name: optimizer.state.get(p, {}) for name, p in average.parameters.items()}
    state, values, averaged, best, slots = team.told((state, average.parameters, average.values, best, slots))
    if not team.leads():
        copy(values, average.parameters)
        copy(averaged, average.values)
        for name, kept in slots.items():
            if kept:
                p = average.parameters[name]
                optimizer.state[p] = {kind: value.to(p.device) for kind, value in kept.items()}
    return state, best


def _groups(parameters: dict[str, Tensor], decay: float) -> list[dict[str, Any]]:
    """Biases and norms (one dimension) are not decayed."""
    return [{"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0}]


def _share(step: int, total: int, warmup: float, schedule: str) -> float:
    """Learning rate as a share of its peak: a linear rise, then down to a tenth.

    `wsd` (warm-up, stable, decay; Hu et al. 2024, "MiniCPM") stays level until the last fifth of the steps.
    """
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    gone = (step - rise) / max(1, total - rise)
    if schedule == "cosine":
        return 0.1 + 0.45 * (1 + math.cos(math.pi * gone))
    if schedule == "wsd":
        gone = max(0.0, (step - 0.8 * total) / max(1.0, 0.2 * total)) if rise < 0.8 * total else gone
    return 1 - 0.9 * min(1.0, gone)


def _broken(number: float, rows: Sequence[int], state: State, folder: Path | None) -> UserError:
    where = "."
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bad_batch.json").write_text(
            json.dumps({"step": state.step, "rows": list(rows), "loss": str(number)}))
        where = f"; its rows are in {folder / 'bad_batch.json'}."
    return UserError(f"The loss became {number} at step {state.step}, batch of {len(rows)} texts{where}",
                     "Lower --learning-rate, or look at these rows: an empty or broken text is the usual cause.")


def _save(folder: Path, state: State, average: Average, best: dict[str, Tensor],
          optimizer: torch.optim.Optimizer) -> None:
    """Write a whole new checkpoint, then swap it in by renaming: a kill at any point leaves one that is whole."""
    temporary, old = folder.with_name(folder.name + ".part"), folder.with_name(folder.name + ".old")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _write(temporary, state, average, best, optimizer)
    except (OSError, SafetensorError) as problem:
        shutil.rmtree(temporary, ignore_errors=True)
        if lacking(problem) != "disk":
            raise
        raise NoResources(f"The disk is full: the checkpoint {folder} could not be written.",
                          "Free some space and resume: the checkpoint before it is kept.") from problem
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write(temporary: Path, state: State, average: Average, best: dict[str, Tensor],
           optimizer: torch.optim.Optimizer) -> None:
    temporary.mkdir(parents=True)
    names = {id(p): name for name, p in average.parameters.items()}
    tensors = {f"weight/{name}": p.detach().cpu().contiguous() for name, p in average.parameters.items()}
    if average.decay:
        tensors |= {f"{AVERAGE}/{name}": p.cpu().contiguous() for name, p in average.values.items()}
    for parameter, slots in optimizer.state.items():
        for kind in SLOTS:
            tensors[f"{kind}/{names[id(parameter)]}"] = slots[kind].cpu().contiguous()
    save_file(tensors, temporary / WEIGHTS)
    save_file({k: v.cpu().contiguous() for k, v in best.items()}, temporary / BEST)
    (temporary / STATE).write_text(json.dumps(asdict(state)))
    for file in temporary.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _load(folder: Path, average: Average,
          optimizer: torch.optim.Optimizer) -> tuple[State, dict[str, Tensor]]:
    try:
        state = State(**json.loads((folder / STATE).read_text()))
        tensors, best = load_file(folder / WEIGHTS), load_file(folder / BEST)
        with torch.no_grad():
            for name, parameter in average.parameters.items():
                parameter.copy_(tensors[f"weight/{name}"])
                if average.decay:
                    average.values[name].copy_(tensors[f"{AVERAGE}/{name}"])
                slots = {kind: value.to(parameter.device) for kind, value in (
                    (kind, tensors.get(f"{kind}/{name}")) for kind in SLOTS) if value is not None}
                if slots:
                    optimizer.state[parameter] = slots
    except Exception as problem:
        raise CorruptFile(f"The checkpoint {folder} cannot be read: {problem}.",
                          f"Delete {folder} and resume again: this candidate then starts anew.") from problem
    return state, best


def _recover(folder: Path) -> None:
    """Put back the last whole checkpoint when a kill fell between the two renames of a save."""
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.is_dir():
        old.rename(folder)
