"""One rung of the ladder: train it, score it, keep it in the run folder so that a resumed run finds it."""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..catalog import fetch
from ..data.dataset import Dataset
from ..data.split import folds
from ..engines.base import Classifier, load_classifier
from ..errors import Offline, UserError
from ..evaluate.energy import Meter
from ..evaluate.result import Candidate, CurvePoint
from ..evaluate.scores import score
from ..evaluate.speed import measure_speed
from ..progress import SILENT, Progress
from ..tasks.classify import Classify, Floats
from ..train.config import TrainConfig
from ..train.ladder import Plan
from ..train.lesson import Fitted, Lesson
from .config import RunFolder

FOLDS = 5
CURVE = (0.25, 0.5)
"""Parts of the training rows that the learning curve is measured at, besides all of them."""
SPEED_TEXTS = 500


@dataclass(frozen=True)
class Data:
    """The frozen splits as the candidates see them.

    Args:
        task: labels and metric.
        train: rows to learn from.
        selection: rows that the choice is made on: the validation split, or in cross-validation the training rows.
        test: rows that nothing but the final score sees; empty when there are none.
        small: the choice is made by cross-validation.
        clusters: of the training rows; near duplicates stay in one fold.
    """

    task: Classify
    train: Dataset
    selection: Dataset
    test: Dataset
    small: bool
    clusters: list[int]


@dataclass(frozen=True)
class Tried:
    """A candidate with what it said about the rows that the choice is made on, and about the test rows."""

    record: Candidate
    selection: Floats | None = None
    test: Floats | None = None
    folder: Path | None = None

    def classifier(self) -> Classifier:
        """The trained model, from the run folder."""
        assert self.folder is not None
        return load_classifier(self.folder / "model")


class Trainer:
    """Trains the candidates of one run.

    Args:
        data: the splits.
        config: parameters of training.
        seed: fixes everything random.
        folder: the run folder.
        deadline: `time.monotonic()` after which no candidate is started.
        progress: listener.
    """

    def __init__(self, data: Data, config: TrainConfig, seed: int, folder: RunFolder, deadline: float | None,
                 progress: Progress) -> None:
        self.data, self.config, self.seed = data, config, seed
        self.folder, self.deadline, self.progress = folder, deadline, progress

    def run(self, plan: Plan, asked: bool) -> Tried:
        """Train and score a rung, or say why not; one that was finished before is read back.

        Args:
            asked: the user named it, so that what stops it is an error and not a reason to skip.
        """
        home = self.folder.candidate(plan.rung.name)
        done = _read(home)
        if done is not None:
            return done
        record = Candidate(name=plan.rung.name, title=plan.title, cost_rank=plan.rung.rank, status="skipped",
                           reason=plan.skip, model=plan.card.id if plan.card else None, predicted_memory=plan.memory)
        if plan.skip:
            return Tried(record)
        if self.deadline is not None and time.monotonic() > self.deadline:
            return Tried(record.model_copy(update={"reason": "the time budget had ended; raise it with --budget"}))
        try:
            base = fetch.pull(plan.card, self.progress) if plan.card else None
        except Offline as problem:
            if asked:
                raise
            return Tried(record.model_copy(update={"reason": f"{problem.message} {problem.hint}"}))
        self.progress.note(f"Candidate: {plan.title}")
        gc.collect()
        with Meter() as meter:
            fitted = plan.rung.fit(self._lesson(self.data.train, base, home))
            chosen = self._out_of_fold(plan, base) if self.data.small else \
                fitted.classifier.logits(self.data.selection.texts)
        return self._keep(record, fitted, chosen, meter, home)

    def attempt(self, plan: Plan, asked: bool) -> Tried:
        """As `run`; a candidate's own failure costs the run that candidate only, unless the user asked for it."""
        try:
            return self.run(plan, asked)
        except UserError as problem:
            if asked:
                raise
            self.progress.note(f"{plan.title} failed: {problem.message}")
            return Tried(Candidate(name=plan.rung.name, title=plan.title, cost_rank=plan.rung.rank, status="failed",
                                   reason=problem.message, model=plan.card.id if plan.card else None))

    def _lesson(self, rows: Dataset, base: Path | None, home: Path | None) -> Lesson:
        held = None if self.data.small else self.data.selection
        return Lesson(self.data.task, rows.texts, rows.targets, held.texts if held else [],
                      held.targets if held else [], self.config, self.seed, base, home, self.deadline, self.progress)

    def _out_of_fold(self, plan: Plan, base: Path | None, rows: Sequence[int] | None = None) -> Floats:
        """What the method says about each row when it has not learned from it. -> [rows, labels]"""
        data = self.data.train if rows is None else self.data.train.take(rows)
        clusters = self.data.clusters if rows is None else [self.data.clusters[i] for i in rows]
        out = np.zeros((len(data), len(self.data.task.labels)), np.float32)
        parts = folds(data, min(FOLDS, len(set(clusters))), self.seed, clusters)
        self.progress.start("cross-validate", len(parts), "folds")
        for learn, held in parts:
            fitted = plan.rung.fit(replace(self._lesson(data.take(learn), base, None), progress=SILENT))
            out[held] = fitted.classifier.logits(data.take(held).texts)
            self.progress.advance("cross-validate")
        self.progress.done("cross-validate")
        return out

    def _keep(self, record: Candidate, fitted: Fitted, chosen: Floats, meter: Meter, home: Path) -> Tried:
        """Score, measure and write a trained candidate; the folder gets its name when it is whole."""
        task, data = self.data.task, self.data
        test = fitted.classifier.logits(data.test.texts) if len(data.test) else None
        texts = (data.test if len(data.test) else data.train).texts[:SPEED_TEXTS]
        record = record.model_copy(update={
            "status": "trained", "reason": fitted.note, "seconds": meter.seconds, "energy": meter.energy,
            "peak_memory": meter.peak_memory, "size": fitted.classifier.size, "parameters": fitted.parameters,
            "trained_parameters": fitted.trained_parameters, "history": fitted.history,
            "speed": measure_speed(fitted.classifier.logits, texts),
            "selection": score(task, task.encode(data.selection.targets), chosen,
                               "cross-validation" if data.small else "validation", seed=self.seed),
            "test": None if test is None else score(task, task.encode(data.test.targets), test, "test",
                                                    seed=self.seed)})
        part = home.with_name(home.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        (part / "model").mkdir(parents=True)
        fitted.classifier.save(part / "model")
        arrays: dict[str, Any] = {"selection": chosen} if test is None else {"selection": chosen, "test": test}
        np.savez(part / "logits.npz", **arrays)
        (part / "candidate.json").write_text(record.model_dump_json(indent=1))
        shutil.rmtree(home, ignore_errors=True)  # its checkpoints and stored activations are of no more use
        part.rename(home)
        return Tried(record, chosen, test, home)

    def curve(self, plan: Plan, tried: Tried) -> list[CurvePoint]:
        """Scores of the same method on parts of the training rows, the last point being the candidate itself."""
        data, task = self.data, self.data.task
        base = fetch.pull(plan.card, self.progress) if plan.card else None
        order = _mixed(data.train, self.seed)
        points: list[CurvePoint] = []
        self.progress.start("learning curve", len(CURVE), "parts")
        for part in CURVE:
            self.progress.advance("learning curve", bool(points))
            rows = sorted(order[: round(part * len(order))])
            if self._lacks_labels(rows) or (self.deadline is not None and time.monotonic() > self.deadline):
                continue
            some = data.train.take(rows)
            if data.small:
                logits, judged = self._out_of_fold(plan, base, rows), some
            else:
                judged = data.test if len(data.test) else data.selection
                fitted = plan.rung.fit(replace(self._lesson(some, base, None), progress=SILENT))
                logits = fitted.classifier.logits(judged.texts)
            found = score(task, task.encode(judged.targets), logits, "test", seed=self.seed).score
            points.append(CurvePoint(rows=len(rows), score=found))
        self.progress.done("learning curve")
        last = tried.record.test or tried.record.selection
        assert last is not None
        return [*points, CurvePoint(rows=len(data.train), score=last.score)]

    def _lacks_labels(self, rows: list[int]) -> bool:
        """A part in which a label stands fewer than twice teaches nothing about it."""
        y = self.data.task.encode(self.data.train.take(rows).targets)
        counts = y.sum(0) if self.data.task.multi_label else np.bincount(y, minlength=len(self.data.task.labels))
        return bool((counts < 2).any())


def _mixed(data: Dataset, seed: int) -> list[int]:
    """Positions in an order whose every beginning has the labels in about their shares."""
    targets, by_label = data.targets, dict[str, list[int]]()
    for place in np.random.default_rng(seed).permutation(len(data)):
        target = targets[place]
        by_label.setdefault(target if isinstance(target, str) else "\t".join(target), []).append(int(place))
    ranked = [((at + 0.5) / len(places), place) for places in by_label.values() for at, place in enumerate(places)]
    return [place for _, place in sorted(ranked)]


def _read(home: Path) -> Tried | None:
    """A candidate that was finished before."""
    part = home.with_name(home.name + ".part")
    if not home.exists() and (part / "candidate.json").is_file():
        part.rename(home)  # killed between the two last steps of `_keep`; that file is the last one written
    if not (home / "candidate.json").is_file():
        return None
    try:
        record = Candidate.model_validate(json.loads((home / "candidate.json").read_text()))
        with np.load(home / "logits.npz") as arrays:
            return Tried(record, arrays["selection"], arrays.get("test"), home)
    except (ValueError, KeyError, OSError):
        return None  # half a file of an older run: it is trained again


def rows_of(data: Data) -> tuple[Dataset, NDArray[np.int64]]:
    """The rows that the final figures are of, with their encoded targets: test, else those of the choice."""
    judged = data.test if len(data.test) else data.selection
    return judged, data.task.encode(judged.targets)


