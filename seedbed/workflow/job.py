"""The main job, step by step: read, check, split, train the ladder, choose, prove, bundle, report."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import DataError, Interrupted, NotFound, UserError
from ..machine import memory_to_plan_for
from ..progress import SILENT, Progress
from ..records import Estimate
from ..train.config import TrainConfig
from .config import RunConfig, RunFolder, read_config, seconds, write_config

SMALL = 200
"""Labelled rows below which no rows are set apart: every row is scored by cross-validation instead."""
SPLITS = (0.7, 0.15, 0.15)
SPLITS_WITH_TEST = (0.8, 0.2, 0.0)
PARITY_TEXTS = 50


@dataclass(frozen=True)
class Finished:
    """What a run leaves.

    Args:
        folder: the run folder; `report.html`, `result.json` and `bundle/` are in it.
        result: all that was found.
    """

    folder: RunFolder
    result: Any

    @property
    def report(self) -> Path:
        return self.folder.path / "report.html"

    @property
    def bundle(self) -> Path:
        return self.folder.bundle


def run(source: str | Path, config: RunConfig | None = None, training: TrainConfig | None = None, *,
        out: Path | None = None, progress: Progress = SILENT) -> Finished:
    """Train, choose and prove a model on labelled text.

    Args:
        source: what `seedbed.data.read.read` takes: a file, a folder by class, a database URL.
        config: the job; the defaults guess the columns and try the whole ladder.
        training: parameters of training.
        out: the run folder, which must be new; by default `runs/<source>-<time>`.
        progress: listener.

    Raises:
        UserError: whatever the user can mend: the data, the folder, the memory, the network.
        Interrupted: Ctrl-C; `resume` goes on where it stopped.
    """
    config, training = config or RunConfig(), training or TrainConfig()
    seconds(config.budget)
    stem = re.sub(r"[^\w-]+", "-", Path(str(source).split("?")[0]).name.split(".")[0]).strip("-") or "run"
    folder = RunFolder(out or Path("runs") / f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    if folder.config.exists():
        raise UserError(f"{folder.path} holds a run already.",
                        f"Go on with it (seedbed run --resume {folder.path}) or name another folder with --out.")
    if folder.path.exists() and (not folder.path.is_dir() or any(p.name != ".lock" for p in folder.path.iterdir())):
        raise UserError(f"{folder.path} exists and is not an empty folder.", "Name another folder with --out.")
    return _guarded(str(source), config, training, folder, False, progress)


def resume(folder: Path, *, progress: Progress = SILENT) -> Finished:
    """Go on with a run that was stopped or killed. Finished candidates are not trained again.

    Raises:
        NotFound, CorruptFile: no run folder, or what is in it was changed.
    """
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.", "List runs with: seedbed runs")
    source, config, training = read_config(RunFolder(folder))
    return _guarded(source, config, training, RunFolder(folder), True, progress)


def _guarded(source: str, config: RunConfig, training: TrainConfig, folder: RunFolder, again: bool,
             progress: Progress) -> Finished:
    """Hold the folder, remember the run, and turn Ctrl-C into a line that says how to go on."""
    from ..store import hold, open_store
    with open_store() as store, hold(folder.path):
        job = _Job(source, config, training, folder, progress)
        started: list[int] = []
        try:
            return job.run(store, started, again)
        except KeyboardInterrupt:
            for one in started:
                store.finish_run(one, "interrupted")
            if not folder.config.exists():
                raise Interrupted("Stopped before training; nothing was kept.", "Start it again.") from None
            raise Interrupted(f"Stopped; what was done is kept in {folder.path}.",
                              f"Go on with: seedbed run --resume {folder.path}") from None
        except BaseException:
            for one in started:
                store.finish_run(one, "failed")
            raise


class _Job:
    """One run; each method is a step."""

    def __init__(self, source: str, config: RunConfig, training: TrainConfig, folder: RunFolder,
                 progress: Progress) -> None:
        self.source, self.config, self.training = source, config, training
        self.folder, self.progress = folder, progress
        self.begin = time.monotonic()

    def run(self, store: Any, started: list[int], again: bool) -> Finished:
        config, folder = self.config, self.folder
        data, health, frozen_hash = self.data(again)
        write_config(folder, self.source, config, self.training)
        name = folder.path.absolute().name
        store.record_dataset(frozen_hash, health.source, dict(health.splits))
        id = store.start_run(name, folder.path.absolute(), config.task, frozen_hash, {"source": self.source},
                             metric=config.metric, resume=again)
        started.append(id)
        tried, plans = self.ladder(data)
        from .verdict import conclude
        result = conclude(self, data, health, frozen_hash, tried, plans)
        bundle = self.bundle(result, data, tried)
        from ..catalog.sources import sha256
        from ..evaluate import report
        _write(folder.result, result.model_dump_json(indent=1))
        report.write(result, folder.path)
        for one in result.candidates:
            for scores in filter(None, (one.selection, one.test)):
                e: Estimate = scores.score
                store.record_scores(id, one.name, scores.split, scores.metric, e.value, e.low, e.high, e.n)
        manifest = bundle.folder / "bundle.json"
        store.record_bundle(id, bundle.folder.absolute(), bundle.manifest.format, sha256(manifest))
        store.finish_run(id, "finished", result.verdict.candidate, result.seconds, result.model_dump(mode="json"))
        return Finished(folder, result)

    def data(self, again: bool) -> tuple[Any, Any, str]:
        """Read, find repeats, split, freeze, check. A resumed run takes its frozen splits."""
        from ..data.freeze import open_splits
        from ..data.health import Health
        from ..tasks.classify import Classify
        from .candidates import Data
        if again and self.folder.health.is_file():
            dataset = open_splits(self.folder.path)
            health = Health.model_validate(json.loads(self.folder.health.read_text()))
        else:
            dataset, health = self._read()
        clusters = [int(c) for c in dataset.column("cluster")]
        dataset = type(dataset)(dataset.table.drop_columns(["cluster"]), dataset.inputs)
        task = Classify.from_targets(dataset.targets, self.config.metric)
        train, test = dataset.part("train"), dataset.part("test")
        small = not len(dataset.part("validation"))
        place = dict(zip(dataset.column("id"), clusters, strict=True))
        selection = train if small else dataset.part("validation")
        return (Data(task, train, selection, test, small, [place[i] for i in train.column("id")]), health,
                dataset.hash)

    def _read(self) -> tuple[Any, Any]:
        from dataclasses import replace

        from ..data import duplicates
        from ..data.check import check
        from ..data.freeze import save_splits
        from ..data.read import read, read_splits
        from ..data.split import split
        config = self.config
        columns: dict[str, Any] = {"text": config.text, "label": config.label, "group": config.group,
                                   "multi_label": config.multi_label, "progress": self.progress}
        given = {name: path for name, path in (("validation", config.validation), ("test", config.test)) if path}
        reading = read_splits({"train": self.source, **given}, **columns) if given else \
            read(self.source, split=config.split, **columns)
        dataset = reading.dataset
        _enough(dataset)
        found = duplicates.find(dataset.texts, seed=config.seed, progress=self.progress)
        clusters = [int(c) for c in found.near]
        splits = Counter(dataset.column("split"))
        learn = splits["train"] + splits[None]
        if learn < SMALL and not splits["validation"]:
            dataset = dataset.with_column("split", [s or "train" for s in dataset.column("split")])
        else:
            dataset = split(dataset, fractions=SPLITS_WITH_TEST if splits["test"] else SPLITS, seed=config.seed,
                            clusters=clusters)
        health = check(replace(reading, dataset=dataset), tokenizer=self._tokenizer(),
                       max_tokens=self.training.max_tokens, seed=config.seed, duplicates=found,
                       progress=self.progress)
        dataset = dataset.with_column("cluster", clusters)
        save_splits(dataset, self.folder.path)
        _write(self.folder.health, health.model_dump_json(indent=1))
        return dataset, health

    def _tokenizer(self) -> Path | None:
        """The tokenizer file of the model that texts will be cut for, when it is on this machine."""
        from ..catalog import fetch
        from ..catalog.cards import card
        from ..train.ladder import ENCODER
        folder = fetch.local(card(self.config.model or ENCODER))
        return next(iter(sorted(folder.rglob("tokenizer.json"))), None) if folder else None

    def ladder(self, data: Any) -> tuple[list[Any], dict[str, Any]]:
        """Train every candidate that fits, cheapest first."""
        from ..catalog.cards import card
        from ..models.runtime import runtime
        from ..train import ladder
        from .candidates import Trainer
        state, budget = runtime(), seconds(self.config.budget)
        self.progress.note(f"Runs with {state.reason}, {state.threads} threads.")
        plans = ladder.plan(data.task, data.train.targets, self.training, card, small=data.small,
                            available=memory_to_plan_for(), wanted=self.config.candidates, model=self.config.model,
                            precision={"torch.float32": "fp32"}.get(str(state.dtype), "bf16"))
        trainer = Trainer(data, self.training, self.config.seed, self.folder,
                          None if budget is None else self.begin + budget, self.progress)
        self.trainer = trainer
        tried: list[Any] = []
        for one in plans:
            asked = one.rung.name in self.config.candidates
            tried.append(trainer.attempt(one, asked))
        if not any(t.record.status == "trained" for t in tried):
            raise UserError("No candidate was trained: " + "; ".join(t.record.reason for t in tried[:2]),
                            "Name candidates with --candidates, or raise --budget.")
        return tried, {one.rung.name: one for one in plans}

    def bundle(self, result: Any, data: Any, tried: list[Any]) -> Any:
        """Write the winner as a deployable folder, proven to answer like the trained model."""
        from ..catalog import fetch
        from ..catalog.cards import card
        from ..evaluate.card import model_card
        from ..export import bundle
        from .candidates import rows_of
        winner = next(t for t in tried if t.record.name == result.verdict.candidate)
        scores = winner.record.test or winner.record.selection
        record = fetch.record(card(winner.record.model)) if winner.record.model else None
        return bundle.write(
            self.folder.bundle, classifier=winner.classifier(), task=data.task, name=result.run,
            data_hash=result.data_hash, sample_texts=rows_of(data)[0].texts[:PARITY_TEXTS], card=model_card(result),
            scores={"macro_f1": scores.macro_f1, "accuracy": scores.accuracy, "micro_f1": scores.micro_f1},
            temperature=result.winner.calibration.temperature, abstention=result.abstention,
            text_column=result.health.detected.get("text column"), base_model=winner.record.model,
            base_hash=_hash_of(record), licences=result.licences, replace=True)


def _enough(dataset: Any) -> None:
    """Refuse data from which nothing can be learned.

    Raises:
        DataError: one class only, or a class with a single example.
    """
    from ..tasks.classify import Classify
    targets = dataset.targets
    Classify.from_targets(targets)
    lines: dict[str, list[int]] = {}
    for line, target in zip(dataset.column("line"), targets, strict=True):
        for label in target if isinstance(target, list) else [target]:
            lines.setdefault(label, []).append(line)
    alone = sorted((label, where[0]) for label, where in lines.items() if len(where) < 2)
    if alone:
        label, line = alone[0]
        more = f" (and {len(alone) - 1} more labels)" if len(alone) > 1 else ""
        raise DataError(f"The label {label!r} has fewer than 2 examples: line {line}{more}.",
                        "Add examples of it, rename it to a label that is meant, or remove the row.")


def _hash_of(record: Any) -> str | None:
    """One hash over the files of a fetched model."""
    import hashlib
    if record is None:
        return None
    files: Mapping[str, Any] = record.files
    return hashlib.sha256(json.dumps({name: one.sha256 for name, one in sorted(files.items())}).encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    """Write under a temporary name, then rename."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
