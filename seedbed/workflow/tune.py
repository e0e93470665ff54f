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

from ..errors import NoResources
from ..machine import memory_to_plan_for
from ..progress import SILENT, Progress
from ..settings import settings
from ..train.config import TextConfig
from .config import RunFolder, TuneConfig, check, plain, write, write_config
from .courses import Course, TuneJob
from .distilling import LogitsCourse, TextCourse
from .embedding import EmbeddingCourse
from .lengths import fitting
from .marking import MarkingCourse
from .preferring import PreferenceCourse
from .pretraining import PretrainingCourse
from .search import draw, search
from .stops import begin, finished, go_on, recorded, refuse, told
from .writing import WritingCourse

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..evaluate.figures import TuneResult
    from ..store import Store

COURSES: dict[str, type[Course[Any]]] = {"entities": MarkingCourse, "embed": EmbeddingCourse,
                                         "prefer": PreferenceCourse, "pretrain": PretrainingCourse}
"""By the task's name; every other task writes."""


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning leaves.

    Args:
        folder: the run folder; `bundle/`, `result.json` and perhaps `adapter/` are in it.
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
    from ..store import hold, open_store

    config = config or TuneConfig()
    if config.task in ("chat", "complete") and not config.teacher and Path(source).is_dir():
        config = replace(config, task="pretrain")
    job = begin(str(source), config, training or TextConfig(), out, progress)
    with told(job.folder, "train"), open_store() as store:
        job, dataset, said = _read(job, str(source))
        dataset = fitting(job, course_of(job.config), dataset, said)
        lesson = _lesson(job, dataset)  # a bad row is told before anything is written
        with hold(job.folder.path):
            refuse(job.folder, "train")
            save_splits(dataset, job.folder.path)
            write(job.folder.health, json.dumps(said, ensure_ascii=False, indent=1))
            write_config(job)
            return _run(job, store, dataset, lesson, again=False)


def resume(folder: str | Path, *, progress: Progress = SILENT) -> FineTuned:
    """Go on with a fine-tuning that was stopped or killed, on its frozen rows.

    Raises:
        NotFound, CorruptFile: no run folder, or what is in it was changed.
    """
    from ..data.freeze import open_splits
    from ..store import hold, open_store

    job = go_on(folder, TuneConfig, TextConfig, progress)
    with told(job.folder, "train"), open_store() as store, hold(job.folder.path):
        return _run(job, store, open_splits(job.folder.path), None, again=True)


def course_of(config: TuneConfig) -> Course[Any]:
    """The course of a job: that of its task, or of a teacher."""
    if config.teacher:
        return (TextCourse if config.distill == "text" else LogitsCourse)(config.task)
    return COURSES.get(config.task, WritingCourse)(config.task)


def _read(job: TuneJob, source: str) -> tuple[TuneJob, Dataset, dict[str, Any]]:
    """The rows, and the job that they are of: judged answers make it one of preferences."""
    from ..data.judged import JudgedAnswers

    try:
        return job, *course_of(job.config).read(source, job.config, job.progress)
    except JudgedAnswers:
        if job.config.task != "chat":
            raise
    config, _ = check(replace(job.config, task="prefer"), job.training)
    return replace(job, config=config), *course_of(config).read(source, config, job.progress)


def _lesson(job: TuneJob, dataset: Dataset) -> Any:
    """What the job's course teaches.

    Raises:
        NoResources: it will not fit the memory.
    """
    course = course_of(job.config)
    lesson = course.lesson(job, dataset, course.model(job))
    need, free = course.memory(job, lesson), memory_to_plan_for()
    if need is not None and need > free:
        raise NoResources(
            f"{job.config.model} needs about {need / 1e9:.1f} GB of memory to train, {free / 1e9:.1f} GB are free.",
            "Lower --batch-tokens, --max-tokens or --train-layers, or take a smaller model.")
    return lesson


def _run(job: TuneJob, store: Store, dataset: Dataset, lesson: Any, again: bool) -> FineTuned:
    """From the frozen rows to a model and a result that the folder and the store hold."""
    from ..evaluate.figures import TuneResult

    counts = {name: len(dataset.part(name)) for name in ("train", "validation", "test")}
    with recorded(job, store, dataset.hash, counts, course_of(job.config).metric, again) as id:
        result = finished(job.folder, TuneResult) or _train(job, dataset, counts, lesson or _lesson(job, dataset))
        if job.config.judge and result.judging is None:
            from .judging import hear

            result = hear(job, result)
        record(store, id, result, job.folder)
    return FineTuned(job.folder, result)


def record(store: Store, id: int, result: TuneResult, folder: RunFolder) -> None:
    """Tell the store what a run found, and where its bundle lies."""
    from ..catalog.sources import sha256
    from ..export.manifest import FORMAT, MANIFEST

    for figure in (one for one in result.figures if one.gain):
        for name, e in (("base", figure.before), ("tuned", figure.after), ("baseline", figure.baseline)):
            if e is not None:
                store.record_scores(id, name, "test", figure.name, e.value, e.low, e.high, e.n)
    manifest = folder.bundle / MANIFEST
    if manifest.is_file():
        store.record_bundle(id, folder.bundle.absolute(), FORMAT, sha256(manifest))
    store.finish_run(id, "finished", "tuned", result.seconds, result.model_dump(mode="json"))


def _train(job: TuneJob, dataset: Dataset, counts: dict[str, int], lesson: Any) -> TuneResult:
    from ..catalog.cards import card
    from ..catalog.fetch import base_hash
    from ..evaluate import report
    from ..evaluate.energy import Meter
    from ..evaluate.figures import TuneResult
    from ..evaluate.tuned_card import tuned_card
    from ..export import tuned
    from ..models.runtime import give_back_memory, runtime
    from ..train.lesson import Late
    from .journal import Journal
    from .verdict import command, environment

    base = card(job.config.model)
    job.progress.note(runtime().line)
    journal = Journal(job.folder.metrics, job.progress)
    journal.take(job.config.method)
    bundle, adapter = _fresh(job.folder.bundle), _fresh(job.folder.adapter)
    model = bundle / job.folder.model.name
    course, best, found = course_of(job.config), job, None
    try:
        with Meter() as meter:
            if job.config.search:
                best, lesson, found = search(job, course, dataset, lesson, journal)
            learned = course.learn(best, dataset, lesson, model, adapter, journal)
    except Late as problem:
        raise NoResources(f"The budget is too short: {problem}.", "Or lower --train-layers.") from None
    said = json.loads(job.folder.health.read_text(encoding="utf-8"))
    result = TuneResult(
        run=job.folder.path.absolute().name, created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command(job), task=job.config.task, model=base.id, form=said["form"], data_hash=dataset.hash,
        rows=counts, config={**plain(job.config), "training": plain(best.training)}, skipped=said["skipped"],
        **{name: value for name, value in vars(learned).items() if name != "shown"}, search=found,
        seconds=meter.seconds, peak_memory=meter.peak_memory, predicted_memory=course.memory(best, lesson),
        environment=environment(job.config.seed), licences={base.id: base.licence or "not known"})
    job.progress.note("The saved model is opened and held against the trained one.")
    give_back_memory()  # of what trained and answered
    proof = tuned.parity(learned.shown.scores, course.again(model, learned.shown.given), course.engine)
    tuned.describe(bundle, result, tuned_card(result), engine=course.engine, adapter=adapter, parity=proof,
                   base_hash=base_hash(base))
    report.write(result, job.folder.path)
    for part, whole in ((bundle, job.folder.bundle), (adapter, job.folder.adapter)):
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
