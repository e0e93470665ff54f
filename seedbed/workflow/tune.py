"""Fine-tune a model that writes, step by step: read, split, freeze, render, train, judge, write."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, NoResources
from ..machine import memory_to_plan_for
from ..progress import SILENT, Progress
from ..train.config import TextConfig
from .config import Job, RunFolder, TuneConfig, plain, seconds, write, write_config
from .prepare import TAB
from .stops import begin, go_on, refuse, told

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..evaluate.writing import WritingResult
    from ..models.template import Row, Template
    from ..train.generate import TextLesson, Tuned

    TuneJob = Job[TuneConfig, TextConfig]

SPLITS, SPLITS_WITH_TEST = (0.8, 0.1, 0.1), (0.9, 0.1, 0.0)
MOST_HELD, MOST_JUDGED = 200, 500
"""Rows that each validation reads, and that the figures are of, at most: more cost time and change little."""


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning leaves.

    Args:
        folder: the run folder; `model/`, `adapter/` and `result.json` are in it.
        result: all that was found.
    """

    folder: RunFolder
    result: WritingResult


def finetune(source: str | Path, config: TuneConfig | None = None, training: TextConfig | None = None, *,
             out: str | Path | None = None, progress: Progress = SILENT) -> FineTuned:
    """Teach a model to write like the texts or the assistant's answers in a file.

    Args:
        source: what `seedbed.data.conversations.read_conversations` takes.
        config: the job.
        training: parameters of training.
        out: the run folder, which must be new; by default `runs/<source>-<time>`.
        progress: listener.

    Raises:
        UserError: whatever the user can mend: the data, the folder, the memory, the network. Nothing is left behind
            when the data cannot be used.
        Interrupted: Ctrl-C; `resume` goes on where it stopped.
    """
    from ..catalog.fetch import pull_writer
    from ..data.freeze import save_splits
    from ..store import hold, open_store

    job = begin(str(source), config or TuneConfig(), training or TextConfig(), out, progress)
    folder = job.folder
    with told(folder, "train"), open_store() as store:
        dataset, said = _read(str(source), job.config, progress)
        model = pull_writer(job.config.model, progress)
        lesson = _lesson(job, dataset, model)  # what is wrong with a row is told before anything is written
        with hold(folder.path):
            refuse(folder, "train")
            save_splits(dataset, folder.path)
            write(folder.health, json.dumps(said, ensure_ascii=False, indent=1))
            write_config(job)
            return _run(job, store, dataset, lesson, again=False)


def resume(folder: str | Path, *, progress: Progress = SILENT) -> FineTuned:
    """Go on with a fine-tuning that was stopped or killed, on its frozen rows.

    Raises:
        NotFound, CorruptFile: no run folder, or what is in it was changed.
    """
    from ..catalog.fetch import pull_writer
    from ..data.freeze import open_splits
    from ..store import hold, open_store

    job = go_on(folder, TuneConfig, TextConfig, progress)
    with told(job.folder, "train"), open_store() as store, hold(job.folder.path):
        dataset = open_splits(job.folder.path)
        lesson = _lesson(job, dataset, pull_writer(job.config.model, progress))
        return _run(job, store, dataset, lesson, again=True)


def _read(source: str, config: TuneConfig, progress: Progress) -> tuple[Dataset, dict[str, Any]]:
    """The rows with their splits, and what was said of them."""
    from ..data import duplicates
    from ..data.conversations import read_conversations
    from ..data.split import split

    given = {"train": source, "validation": config.validation, "test": config.test}
    named = {name: one for name, one in given.items() if one}
    reading = read_conversations(
        named if len(named) > 1 else source, ask=config.ask, answer=config.answer, group=config.group,
        encoding=config.encoding, delimiter=TAB.get(config.delimiter or "", config.delimiter), progress=progress)
    progress.note(f"Read as {reading.detected['form']}: {reading.kept:,} of {reading.read:,} rows.")
    for finding in reading.findings:
        progress.note(f"{finding.message} {'; '.join(finding.examples[:2])}")
    found = duplicates.find(reading.dataset.texts, seed=config.seed, progress=progress)
    dataset = split(reading.dataset, fractions=SPLITS_WITH_TEST if config.test else SPLITS, seed=config.seed,
                    clusters=[int(c) for c in found.near])
    return dataset, {"form": reading.detected["form"], "skipped": reading.skipped, "read": reading.read}


def _memory(job: TuneJob, rows: Sequence[Row]) -> int | None:
    """Bytes predicted for training on these rows; None where the card does not state the model's shape."""
    from ..catalog import memory
    from ..catalog.cards import card
    from ..models.runtime import runtime
    from ..models.vocabulary import TOKENS

    base, config = card(job.config.model), job.training
    if base.architecture is None:
        return None
    precision: memory.Precision = "fp32" if str(runtime().dtype) == "torch.float32" else "bf16"
    longest = max(len(row.ids) for row in rows)
    step = memory.Step(replace(config, max_tokens=longest).step_tokens, longest, config.train_layers, config.rank)
    return memory.to_train(base, "lora" if job.config.method == "lora" else "full", precision, step,
                           logit_tokens=TOKENS)


def _lesson(job: TuneJob, dataset: Dataset, folder: Path) -> TextLesson:
    """The rows as the model reads them; what would not be learned is told before any training.

    Raises:
        DataError: a row cannot be learned from. NoResources: training on them will not fit the memory.
    """
    from ..data.conversations import conversations
    from ..models.doctor import LOOKED_AT, diagnose, ends_of
    from ..models.folder import open_folder
    from ..models.template import open_template
    from ..train.generate import TextLesson

    place = open_folder(folder)
    template = open_template(place, job.training.max_tokens)
    parts = {name: _rows(template, dataset.part(name), most, job.config.seed) for name, most in (
        ("train", None), ("validation", MOST_HELD), ("test", MOST_JUDGED))}
    if not parts["train"] or len(parts["test"]) < 2:  # of one row no interval can be made
        raise DataError(f"{len(parts['train'])} rows to learn from and {len(parts['test'])} to judge by are too few.",
                        "Give 20 rows or more, or at least 2 of your own to judge by with --test.")
    need, free = _memory(job, parts["train"]), memory_to_plan_for()
    if need is not None and need > free:
        raise NoResources(
            f"{job.config.model} needs about {need / 1e9:.1f} GB of memory to train, {free / 1e9:.1f} GB are free.",
            "Lower --batch-tokens, --max-tokens or --train-layers, or take a smaller model.")
    learn = dataset.part("train")
    some = conversations(learn.take(range(min(LOOKED_AT, len(learn)))))
    for sentence in diagnose(template, some, ends_of(place, template.tokenizer)):
        job.progress.note(sentence)
    budget = seconds(job.config.budget)
    return TextLesson(parts["train"], parts["validation"], parts["test"], config=job.training, seed=job.config.seed,
                      model=folder, folder=job.folder.path / "training", progress=job.progress,
                      deadline=None if budget is None else time.monotonic() + budget)


def _rows(template: Template, part: Dataset, most: int | None, seed: int) -> list[Row]:
    import numpy as np

    from ..data.conversations import conversations
    from ..models.template import rows_of

    if most is not None and len(part) > most:
        part = part.take(sorted(np.random.default_rng(seed).choice(len(part), most, replace=False).tolist()))
    names = [f"{Path(source).name} line {line}" for source, line in zip(part.column("source"), part.column("line"),
                                                                        strict=True)]
    return rows_of(template, conversations(part), names)


def _run(job: TuneJob, store: Any, dataset: Dataset, lesson: TextLesson, again: bool) -> FineTuned:
    """From the frozen rows to a model and a result that the folder and the store hold."""
    from ..evaluate.writing import WritingResult

    counts = {name: len(dataset.part(name)) for name in ("train", "validation", "test")}
    store.record_dataset(dataset.hash, job.source, counts)
    path = job.folder.path.absolute()
    id = store.start_run(path.name, path, "write", dataset.hash, {"source": job.source}, metric="loss", resume=again)
    try:
        if job.folder.result.is_file():
            result = WritingResult.model_validate_json(job.folder.result.read_text(encoding="utf-8"))
        else:
            result = _train(job, dataset, counts, lesson)
        for name, figures in (("base", result.before), ("tuned", result.after)):
            e = figures.loss
            store.record_scores(id, name, "test", "loss", e.value, e.low, e.high, e.n)
        store.finish_run(id, "finished", "tuned", result.seconds, result.model_dump(mode="json"))
    except BaseException as problem:
        with contextlib.suppress(Exception):  # on a full disk this fails too; the first problem is the one to tell
            store.finish_run(id, "interrupted" if isinstance(problem, KeyboardInterrupt) else "failed")
        raise
    return FineTuned(job.folder, result)


def _train(job: TuneJob, dataset: Dataset, counts: dict[str, int], lesson: TextLesson) -> WritingResult:
    from ..evaluate.energy import Meter
    from ..models.runtime import runtime
    from ..train import generate
    from ..train.lesson import Late
    from .journal import Journal

    state = runtime()
    job.progress.note(f"Runs with {state.reason}, {state.threads} thread{'s' * (state.threads != 1)}.")
    journal = Journal(job.folder.metrics, job.progress)
    journal.take(job.config.method)
    kept, adapter = _fresh(job.folder.model), _fresh(job.folder.adapter)
    try:
        with Meter() as meter:
            lesson = replace(lesson, progress=journal)
            tuned = generate.lora(lesson, adapter) if job.config.method == "lora" else generate.whole(lesson)
    except Late as problem:
        raise NoResources(f"The budget is too short: {problem}.", "Or lower --train-layers.") from None
    tuned.backbone.save(kept)
    result = _result(job, dataset, counts, lesson, tuned, meter)
    for part, whole in ((kept, job.folder.model), (adapter, job.folder.adapter)):
        if part.exists():
            part.rename(whole)
    write(job.folder.result, result.model_dump_json(indent=1))
    shutil.rmtree(job.folder.path / "training", ignore_errors=True)
    return result


def _fresh(folder: Path) -> Path:
    """An empty place beside a folder, which gets its name when it is whole."""
    part = folder.with_name(folder.name + ".part")
    for old in (part, folder):
        shutil.rmtree(old, ignore_errors=True)
    return part


def _result(job: TuneJob, dataset: Dataset, counts: dict[str, int], lesson: TextLesson, tuned: Tuned,
            meter: Any) -> WritingResult:
    import numpy as np

    from ..catalog.cards import card
    from ..evaluate.writing import WritingResult, ratio, verdict, writing
    from .verdict import command, environment

    said = json.loads(job.folder.health.read_text(encoding="utf-8"))
    tokenizer, base = tuned.backbone.tokenizer, card(job.config.model)
    size = np.array([len(tokenizer.decode([i for i, on in zip(row.ids, row.learned, strict=True) if on],
                                          skip_special_tokens=True).encode()) for row in lesson.judged])
    before, after = (writing(one.nats, one.tokens, size) for one in (tuned.before, tuned.after))
    gain = ratio(tuned.before.nats - tuned.after.nats, tuned.before.tokens)
    return WritingResult(
        run=job.folder.path.absolute().name, created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command(job), model=base.id, form=said["form"], data_hash=dataset.hash, rows=counts,
        config={**plain(job.config), "training": plain(job.training)}, skipped=said["skipped"],
        judged=len(lesson.judged), tokens={
            "all": sum(len(row.ids) for row in lesson.rows), "learned": sum(row.count for row in lesson.rows),
            "cut": sum(row.cut for row in lesson.rows)},
        before=before, after=after, gain=gain, verdict=verdict(gain), note=tuned.trained.note,
        parameters=tuned.parameters, trained_parameters=tuned.trained_parameters, history=tuned.trained.history,
        seconds=meter.seconds, predicted_seconds=tuned.predicted_seconds, peak_memory=meter.peak_memory,
        predicted_memory=_memory(job, lesson.rows), environment=environment(job.config.seed),
        licences={base.id: base.licence or "not known"})
