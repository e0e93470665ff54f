"""Fine-tune a model, step by step: read, split, freeze, train, judge, write. A course knows the task."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NoResources, UserError
from ..progress import SILENT, Progress
from ..settings import settings
from ..train.config import TextConfig
from .config import RunFolder, TuneConfig, plain, write, write_config
from .courses import Course, TuneJob, course_of
from .lengths import fitting
from .search import draw, search
from .stops import begin, go_on, refuse, told

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..evaluate.figures import TuneResult


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning leaves.

    Args:
        folder: the run folder; `model/`, `result.json` and perhaps `adapter/` are in it.
        result: all that was found.
    """

    folder: RunFolder
    result: TuneResult


@contextlib.contextmanager
def together() -> Iterator[bool]:
    """Whether this process does the work: of several that torchrun or `accelerate launch` started, the first one. The
    others train along inside, and have nothing to do afterwards."""
    if settings().processes == 1:
        yield True
        return
    from ..train.team import together as meet

    with meet() as leading:
        yield leading


def finetune(source: str | Path, config: TuneConfig | None = None, training: TextConfig | None = None, *,
             out: str | Path | None = None, progress: Progress = SILENT) -> FineTuned:
    """Teach a model the task that rows of a file show.

    Args:
        source: a file, folder or database; what is in it depends on `config.task`. Texts of a folder are gone on
            with (`pretrain`), where no other task is named.
        config: the job.
        training: parameters of training.
        out: the run folder, which must be new; by default `runs/<source>-<time>`.
        progress: listener.

    Raises:
        UserError: whatever the user can mend: the data, the folder, the memory, the network. Nothing is left behind
            when the data cannot be used.
        Interrupted: Ctrl-C; `resume` goes on where it stopped.
    """
    from ..data.freeze import save_splits
    from ..data.judged import JudgedAnswers
    from ..store import hold, open_store

    config = config or TuneConfig()
    if config.task in ("chat", "complete") and not config.teacher and Path(source).is_dir():
        config = replace(config, task="pretrain")
    job = begin(str(source), config, training or TextConfig(), out, progress)
    if job.config.prefer:
        job = _preferring(job)
    folder, course = job.folder, course_of(job.config)
    with told(folder, "train"), open_store() as store:
        try:
            dataset, said = course.read(str(source), job.config, progress)
        except JudgedAnswers:
            if job.config.task != "chat":
                raise
            job = _preferring(job)
            course = course_of(job.config)
            dataset, said = course.read(str(source), job.config, progress)
        dataset = fitting(job, course, dataset, said)
        lesson = course.lesson(job, dataset, course.model(job))  # a bad row is told before anything is written
        with hold(folder.path):
            refuse(folder, "train")
            save_splits(dataset, folder.path)
            write(folder.health, json.dumps(said, ensure_ascii=False, indent=1))
            write_config(job)
            return _run(job, course, store, dataset, lesson, again=False)


def _preferring(job: TuneJob) -> TuneJob:
    if job.config.task not in ("chat", "prefer"):
        raise UserError(f"--prefer was given together with --task {job.config.task}.",
                        "Leave one of them out: what is preferred is a task of its own.")
    return replace(job, config=replace(job.config, task="prefer"))


def resume(folder: str | Path, *, progress: Progress = SILENT) -> FineTuned:
    """Go on with a fine-tuning that was stopped or killed, on its frozen rows.

    Raises:
        NotFound, CorruptFile: no run folder, or what is in it was changed.
    """
    from ..data.freeze import open_splits
    from ..store import hold, open_store

    job = go_on(folder, TuneConfig, TextConfig, progress)
    course = course_of(job.config)
    with told(job.folder, "train"), open_store() as store, hold(job.folder.path):
        dataset = open_splits(job.folder.path)
        lesson = course.lesson(job, dataset, course.model(job))
        return _run(job, course, store, dataset, lesson, again=True)


def _run(job: TuneJob, course: Course[Any], store: Any, dataset: Dataset, lesson: Any, again: bool) -> FineTuned:
    """From the frozen rows to a model and a result that the folder and the store hold."""
    from ..evaluate.figures import TuneResult

    counts = {name: len(dataset.part(name)) for name in ("train", "validation", "test")}
    store.record_dataset(dataset.hash, job.source, counts)
    path, task = job.folder.path.absolute(), job.config.task
    id = store.start_run(path.name, path, task, dataset.hash, {"source": job.source}, metric=course.metric,
                         resume=again)
    try:
        if job.folder.result.is_file():
            result = TuneResult.model_validate_json(job.folder.result.read_text(encoding="utf-8"))
        else:
            result = _train(job, course, dataset, counts, lesson)
        if job.config.judge and result.judging is None:
            from .judging import hear

            result = hear(job, result)
        record(store, id, result)
    except BaseException as problem:
        with contextlib.suppress(Exception):  # on a full disk this fails too; the first problem is the one to tell
            store.finish_run(id, "interrupted" if isinstance(problem, KeyboardInterrupt) else "failed")
        raise
    return FineTuned(job.folder, result)


def record(store: Any, id: int, result: TuneResult) -> None:
    """Tell the store what a run found."""
    for figure in (one for one in result.figures if one.gain):
        for name, e in (("base", figure.before), ("tuned", figure.after), ("baseline", figure.baseline)):
            if e is not None:
                store.record_scores(id, name, "test", figure.name, e.value, e.low, e.high, e.n)
    store.finish_run(id, "finished", "tuned", result.seconds, result.model_dump(mode="json"))


def _train(job: TuneJob, course: Course[Any], dataset: Dataset, counts: dict[str, int], lesson: Any) -> TuneResult:
    from ..catalog.cards import card
    from ..evaluate import report
    from ..evaluate.energy import Meter
    from ..evaluate.figures import TuneResult
    from ..evaluate.tuned_card import tuned_card
    from ..models.runtime import runtime
    from ..train.lesson import Late
    from .journal import Journal
    from .verdict import command, environment

    state, base = runtime(), card(job.config.model)
    job.progress.note(f"Runs with {state.reason}, {state.threads} thread{'s' * (state.threads != 1)}.")
    journal = Journal(job.folder.metrics, job.progress)
    journal.take(job.config.method)
    model, adapter = _fresh(job.folder.model), _fresh(job.folder.adapter)
    try:
        with Meter() as meter:
            found = None
            if job.config.search:
                job, lesson, found = search(job, course, lesson, journal)
            learned = course.learn(job, dataset, lesson, model, adapter, journal)
    except Late as problem:
        raise NoResources(f"The budget is too short: {problem}.", "Or lower --train-layers.") from None
    said = json.loads(job.folder.health.read_text(encoding="utf-8"))
    result = TuneResult(
        run=job.folder.path.absolute().name, created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command(job), task=job.config.task, model=base.id, form=said["form"], data_hash=dataset.hash,
        rows=counts, config={**plain(job.config), "training": plain(job.training)}, skipped=said["skipped"],
        **vars(learned), search=found, seconds=meter.seconds, peak_memory=meter.peak_memory,
        predicted_memory=course.memory(job, lesson), environment=environment(job.config.seed),
        licences={base.id: base.licence or "not known"})
    (model / "README.md").write_text(tuned_card(result), encoding="utf-8")
    report.write(result, job.folder.path)
    for part, whole in ((model, job.folder.model), (adapter, job.folder.adapter)):
        if part.exists():
            part.rename(whole)
    if found:
        draw(job.folder.path, found)
    write(job.folder.result, result.model_dump_json(indent=1))
    shutil.rmtree(job.folder.path / "training", ignore_errors=True)
    return result


def _fresh(folder: Path) -> Path:
    """An empty place beside a folder, which gets its name when it is whole."""
    part = folder.with_name(folder.name + ".part")
    for old in (part, folder):
        shutil.rmtree(old, ignore_errors=True)
    return part
