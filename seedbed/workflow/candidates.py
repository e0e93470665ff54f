"""One rung of the ladder: train it, score it, keep it in the run folder so that a resumed run finds it."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..catalog import fetch
from ..data.dataset import Dataset
from ..engines.base import Classifier, load_classifier
from ..engines.constant import Constant
from ..errors import CorruptFile, DataError, Interrupted, NoResources, Offline, UserError, lacking
from ..evaluate.energy import Meter
from ..evaluate.result import Candidate, CurvePoint, Scores
from ..evaluate.scores import score
from ..evaluate.speed import measure_speed
from ..tasks.classify import Floats
from ..train.config import TrainConfig
from ..train.ladder import Plan
from ..train.lesson import Fitted, Late, Lesson
from .config import Job, RunConfig, write
from .journal import Journal
from .prepare import Data, parts
from .teaching import Teaching

CURVE = (0.25, 0.5)
"""Parts of the training rows that the learning curve is measured at, besides all of them."""
CURVE_SECONDS, CURVE_SHARE = 180.0, 1 / 8
"""The longest that the learning curve may take; with a budget, that share of it, added to it."""
SPEED_TEXTS, SPEED_SECONDS = 500, 2.0
"""How many texts at most, and how long, the speed of a candidate is measured with."""
LATE = "the time budget had ended; raise it with --budget"


@dataclass(frozen=True)
class Tried:
    """A candidate with what it said about the rows that the choice is made on, and about the test rows."""

    record: Candidate
    selection: Floats | None = None
    test: Floats | None = None
    folder: Path | None = None

    @property
    def judged(self) -> Floats:
        """What it said about the rows that the final figures are of; only a trained candidate said something."""
        said = self.selection if self.test is None else self.test
        assert said is not None
        return said

    def classifier(self) -> Classifier:
        """The trained model, from the run folder."""
        assert self.folder is not None
        return load_classifier(self.folder / "model")


class Trainer:
    """Trains the candidates of one run.

    Args:
        job: what the run was told.
        data: the splits.
        budget: seconds after which no candidate is started; None for no end.
    """

    def __init__(self, job: Job[RunConfig, TrainConfig], data: Data, budget: float | None) -> None:
        self.job, self.data, self.budget = job, data, budget
        self.deadline = None if budget is None else time.monotonic() + budget
        self.seed, self.progress = job.config.seed, job.progress
        self.journal = Journal(job.folder.metrics, job.progress)
        self.teaching = Teaching(job, data) if job.config.teacher else None

    @property
    def late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def attempt(self, plan: Plan, asked: bool) -> Tried:
        """Train and score a rung, or say why not; one that was finished before is read back.

        Args:
            asked: the user named it, so that what stops it is an error. What stops another one costs the run that
                candidate only.
        """
        home = self.job.folder.candidate(plan.rung.name)
        done = _read(home)
        if done is not None:
            return done
        record = Candidate(name=plan.rung.name, title=plan.title, cost_rank=plan.rung.rank, status="skipped",
                           model=plan.card.id if plan.card else None, predicted_memory=plan.memory)

        def left_out(reason: str, status: str = "skipped") -> Tried:
            return Tried(record.model_copy(update={"reason": reason, "status": status}))

        if plan.skip or self.late:
            return left_out(plan.skip or LATE)
        try:
            return self._train(plan, record, home)
        except Late as problem:
            return left_out(str(problem))
        except (UserError, MemoryError, RuntimeError) as problem:
            short = lacking(problem) == "memory"
            # a damaged or unwritable checkpoint is the run's, not the candidate's: the choice could be another
            ours = isinstance(problem, CorruptFile | NoResources) and str(home) in problem.message
            if asked or ours or isinstance(problem, Interrupted) or not (short or isinstance(problem, UserError)):
                raise
            reason = "the memory did not suffice" if short else str(problem).replace("\n", " ")
            self.progress.note(f"{plan.title}: {reason}")
            return left_out(reason, "skipped" if isinstance(problem, Offline) else "failed")

    def _train(self, plan: Plan, record: Candidate, home: Path) -> Tried:
        base = fetch.pull(plan.card, self.progress) if plan.card else None
        from ..models.runtime import give_back_memory
        self.progress.note(f"Candidate: {plan.title}")
        self.journal.take(plan.rung.name)
        resumed = (home / "checkpoint").is_dir()
        if plan.card:
            give_back_memory()  # of the model before
        with Meter() as meter:
            fitted = plan.rung.fit(replace(self._lesson(self.data.train, base, home), progress=self.journal))
            chosen = self._out_of_fold(plan, base, self.data.train, self.data.clusters) if self.data.small else None
        history = [{name: value for name, value in one.items() if math.isfinite(value)} for one in fitted.history]
        seconds, energy = meter.seconds, meter.energy
        if resumed:  # the loop counts on over a stop, the meter saw only the last part
            seconds = max([seconds, *(one["seconds"] for one in history if "seconds" in one)])
            energy = energy and energy.model_copy(update={"source": f"{energy.source}; only since it was resumed"})
        record = record.model_copy(update={
            "seconds": seconds, "energy": energy, "peak_memory": meter.peak_memory, "history": history,
            "predicted_seconds": None if self.data.small or resumed else fitted.predicted_seconds})
        if chosen is None:
            chosen = fitted.classifier.logits(self.data.selection.texts)
        return self._keep(record, fitted, chosen, home)

    def _lesson(self, rows: Dataset, base: Path | None, home: Path | None) -> Lesson:
        held = None if self.data.small else self.data.selection
        soft = self.teaching.soft(rows.texts) if self.teaching else None
        return Lesson(self.data.task, rows.texts, rows.targets, held.texts if held else [],
                      held.targets if held else [], config=self.job.training, seed=self.seed, model=base, folder=home,
                      deadline=self.deadline, soft=soft, unlabelled=self.teaching.unlabelled if self.teaching else [])

    def _out_of_fold(self, plan: Plan, base: Path | None, rows: Dataset, clusters: list[int]) -> Floats:
        """What the method says about each row when it has not learned from it. -> [rows, labels]"""
        out = np.zeros((len(rows), len(self.data.task.labels)), np.float32)
        folds = parts(rows, clusters, self.seed)
        work = "cross-validate"
        self.progress.start(work, len(folds), "folds")
        for learn, held in folds:
            fitted = plan.rung.fit(self._lesson(rows.take(learn), base, None))
            if self.late:  # the scores would be of half-trained models
                raise Late(LATE)
            out[held] = fitted.classifier.logits(rows.take(held).texts)
            self.progress.advance(work)
        self.progress.done(work)
        return out

    def _keep(self, record: Candidate, fitted: Fitted, chosen: Floats, home: Path) -> Tried:
        """Score, measure and write a trained candidate; the folder gets its name when it is whole."""
        data = self.data
        test = fitted.classifier.logits(data.test.texts) if len(data.test) else None
        selection = self._score(data.selection, chosen, "cross-validation" if data.small else "validation")
        constant = isinstance(fitted.classifier, Constant)  # it reads no text: a speed would mean nothing
        speed = None if constant else measure_speed(
            fitted.classifier.logits, data.judged.texts[:SPEED_TEXTS], seconds=SPEED_SECONDS)
        record = record.model_copy(update={
            "status": "trained", "reason": fitted.note, "size": fitted.classifier.size,
            "parameters": fitted.parameters, "trained_parameters": fitted.trained_parameters, "speed": speed,
            "selection": selection, "test": None if test is None else self._score(data.test, test, "test")})
        part = home.with_name(home.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        (part / "model").mkdir(parents=True)
        fitted.classifier.save(part / "model")
        arrays: dict[str, Any] = {"selection": chosen} if test is None else {"selection": chosen, "test": test}
        np.savez(part / "logits.npz", **arrays)
        write(part / "candidate.json", record.model_dump_json(indent=1))
        shutil.rmtree(home, ignore_errors=True)  # its checkpoints and stored activations are of no more use
        part.rename(home)
        self.journal.write(split=selection.split, rows=selection.n, **{selection.metric: selection.score.value})
        return Tried(record, chosen, test, home)

    def _score(self, rows: Dataset, logits: Floats, split: str) -> Scores:
        task = self.data.task
        return score(task, task.encode(rows.targets), logits, split, seed=self.seed)  # type: ignore[arg-type]

    @property
    def curve_seconds(self) -> float:
        """The most that a learning curve may cost, beside the budget."""
        return CURVE_SECONDS if self.budget is None else self.budget * CURVE_SHARE

    def curve(self, plan: Plan, tried: Tried) -> list[CurvePoint]:
        """Scores of the same method on parts of the training rows, the last point being the candidate itself."""
        data, work = self.data, "learning curve"
        self.deadline = None if self.budget is None else time.monotonic() + self.curve_seconds
        base = fetch.pull(plan.card, self.progress) if plan.card else None
        order = _mixed(data.train, self.seed)
        points: list[CurvePoint] = []
        self.progress.start(work, len(CURVE), "parts")
        for part in CURVE:
            rows = sorted(order[: round(part * len(order))])
            found = None if self._lacks_labels(rows) or self.late else self._part_score(plan, base, rows)
            if found is not None:
                points.append(CurvePoint(rows=len(rows), score=found.score))
            self.progress.advance(work)
        self.progress.done(work)
        last = tried.record.test or tried.record.selection
        assert last is not None
        return [*points, CurvePoint(rows=len(data.train), score=last.score)]

    def _part_score(self, plan: Plan, base: Path | None, rows: list[int]) -> Scores | None:
        """The score of a model that learned from these rows; None where they or the time do not allow one."""
        some = self.data.train.take(rows)
        with contextlib.suppress(Late, DataError):
            if self.data.small and not len(self.data.test):
                said = self._out_of_fold(plan, base, some, [self.data.clusters[i] for i in rows])
                return self._score(some, said, "cross-validation")
            fitted = plan.rung.fit(self._lesson(some, base, None))
            if not self.late:
                return self._score(self.data.judged, fitted.classifier.logits(self.data.judged.texts), "test")
        return None

    def _lacks_labels(self, rows: list[int]) -> bool:
        """A part in which a label stands fewer than twice teaches nothing about it."""
        task, y = self.data.task, self.data.task.encode(self.data.train.targets)
        whole, some = (one.sum(0) if task.multi_label else np.bincount(one, minlength=len(task.labels))
                       for one in (y, y[rows]))
        return bool((some < np.minimum(whole, 2)).any())


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
    if (part / "candidate.json").is_file():  # killed in the last two steps of `_keep`; that file is written last
        shutil.rmtree(home, ignore_errors=True)
        part.rename(home)
    if not (home / "candidate.json").is_file():
        return None
    try:
        record = Candidate.model_validate(json.loads((home / "candidate.json").read_text(encoding="utf-8")))
        with np.load(home / "logits.npz") as arrays:
            return Tried(record, arrays["selection"], arrays.get("test"), home)
    except (ValueError, KeyError, OSError):
        return None  # half a file of an older run: it is trained again
