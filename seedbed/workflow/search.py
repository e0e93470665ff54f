"""`seedbed train --search 30m`: options are tried within a time, judged on validation rows; the best weights stay.

Optuna's tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for hyper-parameter optimization";
multivariate: Falkner et al. 2018) proposes, and a trial that is behind the median of those before it at the same pass
is ended (Golovin et al. 2017, "Google Vizier", section 3.2.2). All that was tried stands in a journal in the run
folder, so a search that was killed goes on with the trial that it was at.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, MissingExtra, UserError, lacking
from ..machine import memory_to_plan_for
from ..progress import Progress
from .config import seconds, write
from .courses import Course, TuneJob

if TYPE_CHECKING:
    import optuna

    from ..data.dataset import Dataset
    from ..evaluate.search import Search, Trial

JOURNAL, CHART = "search.log", "search.svg"
REACH = 5.0
"""The learning rate is sought between a fifth and five times the method's own."""
RANKS = (4, 8, 16, 32, 64)
SHARES = (1 / 6, 1 / 3, 1 / 2, 1.0)
"""Shares of the layers that may be trained."""
FEW = ("There are too few validation rows to search by.", "Give more rows, or name a file of your own: --validation")
AT_RANDOM, TO_THE_END = 4, 2
"""So many trials are drawn before the estimator proposes, and so many are never ended early."""


class Ended(Exception):
    """A trial is not worth going on with: `pruned` or `late`."""


@dataclass(frozen=True)
class Limit:
    """How long a search may last: seconds, or a number of trials."""

    seconds: float | None = None
    trials: int | None = None


def need() -> Any:
    """Optuna.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtra("--search", "search") from None
    return optuna


def limit(text: str) -> Limit:
    """`30m`, `2h`, or `12 trials`, which any machine repeats alike.

    Raises:
        UserError: it is none of these.
    """
    if match := re.fullmatch(r"\s*(\d+)\s*trials?\s*", text):
        if int(match[1]) < 1:
            raise UserError("--search asks for no trial at all.", "Write it as 30m, 2h or '12 trials'.")
        return Limit(trials=int(match[1]))
    try:
        return Limit(seconds=seconds(text))
    except UserError:
        raise UserError(f"--search is {text!r}, which is no time.", "Write it as 30m, 2h or '12 trials'.") from None


class Watch:
    """A listener that tells a trial's validation loss, and ends it where that lags behind or the time is up."""

    def __init__(self, trial: optuna.Trial, passes: int, end: float | None, progress: Progress) -> None:
        self.trial, self.passes, self.end, self.progress, self.told = trial, passes, end, progress, False

    def start(self, work: str, total: float | None = None, unit: str = "") -> None:
        self.progress.start(work, total, unit)

    def advance(self, work: str, amount: float = 1) -> None:
        self.progress.advance(work, amount)
        if self.end is not None and time.monotonic() > self.end:
            raise Ended("late")

    def metric(self, work: str, **values: float) -> None:
        self.progress.metric(work, **values)
        if "validation" in values:
            self.passes, self.told = self.passes + 1, True
            self.trial.report(values["validation"], self.passes)
            if self.trial.number >= TO_THE_END and self.trial.should_prune():
                raise Ended("pruned")

    def note(self, text: str) -> None:
        if self.trial.number == 0:  # each trial would say the same
            self.progress.note(text)

    def done(self, work: str) -> None:
        if self.told:  # it has learned to its end: only judging is left, which is not to be lost
            self.end = None
        self.progress.done(work)


def search(job: TuneJob, course: Course[Any], dataset: Dataset, lesson: Any,
           progress: Progress) -> tuple[TuneJob, Any, Search]:
    """Try options until the time is up; or go on with a search that was stopped.

    Args:
        lesson: the lesson with the defaults, which are the first trial: so nothing worse on validation comes out.

    Returns:
        The job and the lesson with the best options. The lesson's folder holds the checkpoint of that trial, which
        has ended: to train it again is to load its weights.

    Raises:
        DataError: there are too few validation rows.
    """
    import numpy as np

    from ..evaluate.search import search as record

    if len(dataset.part("validation")) < 2:
        raise DataError(*FEW)
    study, most, home = _open(job), limit(job.config.search or ""), Path(lesson.folder)
    if "space" not in study.user_attrs:  # what fits the memory then need not fit it when the search goes on
        study.set_user_attr("space", _space(job, course, lesson))
    space = study.user_attrs["space"]
    before = sum(one.user_attrs.get("seconds", 0.0) or _done(home / f"trial-{one.number}")[1] for one in study.trials)
    end = None if most.seconds is None else time.monotonic() + most.seconds - before
    if not study.trials:
        study.enqueue_trial({name: of[0] for name, of in space.items()})
    while (trial := _next(study, job.config.seed, most, end)) is not None:
        options = _propose(trial, space, job.training.alpha / job.training.rank)
        progress.note(f"Trial {trial.number}: " + (", ".join(f"{k} {v:.3g}" for k, v in options.items())
                                                   if trial.number else "the defaults") + ".")
        mine, part = _with(job, lesson, trial.number, options, home)
        _try(trial, options, mine, course, dataset, part, end, progress)
        for place in home.glob("trial-*"):
            if place.name != f"trial-{study.best_trial.number}":
                shutil.rmtree(place, ignore_errors=True)
    best = study.best_trial
    first, found = (np.array(one.user_attrs["rows"]) for one in (study.trials[0], best))
    told = record([_trial(one) for one in study.trials if "state" in one.user_attrs], first[0], found[0], first[1])
    progress.note(told.verdict)
    return *_with(job, lesson, best.number, best.user_attrs["options"], home), told


def _with(job: TuneJob, lesson: Any, number: int, options: dict[str, Any], home: Path) -> tuple[TuneJob, Any]:
    """The job and the lesson of a trial. The first trains as it was told, whatever its options are called."""
    training = replace(job.training, **options) if number else job.training
    return replace(job, training=training), replace(lesson, config=training, folder=home / f"trial-{number}")


def _try(trial: optuna.Trial, options: dict[str, Any], job: TuneJob, course: Course[Any], dataset: Dataset,
         lesson: Any, end: float | None, progress: Progress) -> None:
    """Train with these options, and tell the study what came of it."""
    from optuna.trial import TrialState

    passed, spent = _done(lesson.folder)
    begin, state, why = time.monotonic() - spent, "finished", ""
    watch = Watch(trial, passed, end if trial.number else None, progress)
    try:
        part, whole = course.trial(job, dataset, replace(lesson, progress=watch))
        if len(part) < 2:
            raise DataError(*FEW)
    except Ended as ended:
        state = str(ended)
    except (UserError, MemoryError, RuntimeError) as problem:
        short = lacking(problem) == "memory"
        # too many layers for the memory or a wild rate end the trial, a full disk the search
        if not trial.number or not (short or type(problem) is UserError):
            raise
        state, why = "failed", "the memory did not suffice" if short else str(problem).splitlines()[0]
    for name, value in (("options", options), ("state", state), ("note", why), ("seconds", time.monotonic() - begin)):
        trial.set_user_attr(name, value)
    if state == "finished":
        trial.set_user_attr("rows", [part.tolist(), whole.tolist()])
        trial.study.tell(trial, float(part.sum() / max(1, whole.sum())))
    else:
        trial.study.tell(trial, state=TrialState.FAIL if state == "failed" else TrialState.PRUNED)


def draw(folder: Path, found: Search) -> None:
    """Write the chart of a search beside its result."""
    from ..evaluate.report.drawing import file
    from ..evaluate.report.trials import trials

    one = trials(found)
    write(folder / CHART, file(one.wide, one.key, one.title, one.text))


def _open(job: TuneJob) -> optuna.Study:
    optuna = need()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(job.folder.path / JOURNAL)))
    return optuna.create_study(study_name="search", storage=storage, load_if_exists=True,
                               pruner=optuna.pruners.MedianPruner(n_startup_trials=TO_THE_END))


def _next(study: optuna.Study, seed: int, most: Limit, end: float | None) -> optuna.Trial | None:
    """The trial that was running when the process was killed, else a new one; None when the search is over."""
    import optuna

    # a sampler of its own for each trial, so that a search which was stopped proposes what an undisturbed one does
    running = [one for one in study.trials if one.state.name == "RUNNING"]
    number = running[0].number if running else len([one for one in study.trials if one.state.name != "WAITING"])
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=AT_RANDOM, multivariate=True,
                                               seed=seed * 1_000_003 + number)
    if running:
        return optuna.Trial(study, running[0]._trial_id)
    whole = [one.user_attrs["seconds"] for one in study.trials if one.state.name == "COMPLETE"]
    if number and (number == most.trials or (end is not None and end - time.monotonic() < min(whole) / 2)):
        return None  # less than half of the quickest training is left: another would come to nothing
    return study.ask()


def _space(job: TuneJob, course: Course[Any], lesson: Any) -> dict[str, list[float]]:
    """By option the values that are tried, the default first; of the learning rate the default and its bounds.

    Only what fits the memory is offered. The adapters' alpha keeps its proportion to the rank.
    """
    from ..catalog.cards import card

    training, shape, free = job.training, card(job.config.model).architecture, memory_to_plan_for()
    rate = training.learning_rate or course.rate(job, lesson)
    space: dict[str, list[float]] = {"learning_rate": [rate, rate / REACH, rate * REACH]}
    offered: dict[str, Sequence[int]] = dict(course.tried)
    if job.config.method in ("lora", "qlora"):
        offered["rank"] = RANKS
    if shape is not None:
        training = replace(training, train_layers=min(training.train_layers, shape.layers))
        offered["train_layers"] = [max(1, round(shape.layers * share)) for share in SHARES]
    for name, values in offered.items():
        own = getattr(training, name)
        needs = {value: course.memory(replace(job, training=replace(training, **{name: value})), lesson) or 0
                 for value in dict.fromkeys((own, *values))}
        space[name] = [value for value, need in needs.items() if value == own or need <= free]
    return space


def _propose(trial: optuna.Trial, space: dict[str, list[float]], scale: float) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, values in space.items():
        if name == "learning_rate":
            options[name] = trial.suggest_float(name, values[1], values[2], log=True)
        else:
            options[name] = trial.suggest_categorical(name, values)
    if "rank" in options:
        options["alpha"] = options["rank"] * scale
    return options


def _done(place: Path) -> tuple[int, float]:
    """Passes and seconds that the checkpoint of a trial has behind it."""
    for folder in (place / "checkpoint", place / "checkpoint.old"):
        if (folder / "state.json").is_file():
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            return len(state["history"]), float(state["seconds"])
    return 0, 0.0


def _trial(one: optuna.trial.FrozenTrial) -> Trial:
    from ..evaluate.search import Trial

    said = one.user_attrs
    return Trial(number=one.number, options=said["options"], loss=one.value if said["state"] == "finished" else None,
                 curve=[one.intermediate_values[step] for step in sorted(one.intermediate_values)],
                 seconds=said["seconds"], state=said["state"], note=said["note"])
