"""The main job, step by step: read, check, split, train the ladder, choose, prove, bundle, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ..errors import UserError
from ..machine import memory_to_plan_for
from ..progress import SILENT, Progress
from ..train.config import TrainConfig
from .config import Job, RunConfig, RunFolder, seconds, write, write_config
from .stops import begin, finished, go_on, recorded, refuse, told

if TYPE_CHECKING:
    from ..data.health import Health
    from ..evaluate.result import Result
    from ..store import Store
    from .candidates import Tried
    from .prepare import Data

PARITY_TEXTS = 50


@dataclass(frozen=True)
class Finished:
    """What a run leaves.

    Args:
        folder: the run folder; `report.html`, `result.json` and `bundle/` are in it.
        result: all that was found.
    """

    folder: RunFolder
    result: Result

    @property
    def report(self) -> Path:
        return self.folder.report

    @property
    def bundle(self) -> Path:
        return self.folder.bundle


def run(source: str | Path, config: RunConfig | None = None, training: TrainConfig | None = None, *,
        out: str | Path | None = None, progress: Progress = SILENT) -> Finished:
    """Train, choose and prove a model on labelled text.

    Args:
        source: what `seedbed.data.read.read` takes: a file, a folder by class, a database URL.
        config: the job; the defaults guess the columns and try the whole ladder.
        training: parameters of training.
        out: the run folder, which must be new; by default `runs/<source>-<time>`.
        progress: listener.

    Raises:
        UserError: whatever the user can mend: the data, the folder, the memory, the network. Nothing is left behind
            when the data cannot be used.
        Interrupted: Ctrl-C; `resume` goes on where it stopped.
    """
    from ..store import hold, open_store
    from .prepare import as_data, freeze, prepare
    from .teaching import Teaching

    job = begin(str(source), config or RunConfig(), training or TrainConfig(), out, progress)
    folder = job.folder
    with told(folder, "run"), open_store() as store:
        dataset, health = prepare(str(source), job.config, job.training, progress)
        if job.config.teacher:
            Teaching(job, as_data(dataset, job.config))  # one that does not fit is told before anything is written
        with hold(folder.path):
            refuse(folder, "run")  # another process may have run there in the meantime
            freeze(dataset, health, folder)
            write_config(job)  # the last of the three: from here on it is a run
            return _run(job, store, again=False)


def resume(folder: str | Path, *, progress: Progress = SILENT) -> Finished:
    """Go on with a run that was stopped or killed, on its frozen rows. Finished candidates are not trained again.

    Raises:
        NotFound, CorruptFile: no run folder, or what is in it was changed.
    """
    from ..store import hold, open_store

    job = go_on(folder, RunConfig, TrainConfig, progress)
    with told(job.folder, "run"), open_store() as store, hold(job.folder.path):
        return _run(job, store, again=True)


def _run(job: Job[RunConfig, TrainConfig], store: Store, again: bool) -> Finished:
    """From the frozen rows to a result that the folder and the store hold; each step may have been done before."""
    from ..evaluate import report
    from ..evaluate.result import Result
    from .prepare import as_data, thaw

    dataset, health = thaw(job.folder)
    data = as_data(dataset, job.config)
    with recorded(job, store, data.hash, dict(health.splits), job.config.metric, again) as id:
        result = finished(job.folder, Result) or _conclude(job, data, health)
        report.write(result, job.folder.path)
        _record(store, id, result, job.folder)
    return Finished(job.folder, result)


def _conclude(job: Job[RunConfig, TrainConfig], data: Data, health: Health) -> Result:
    """Train every candidate that fits, cheapest first; choose; write the winner's bundle and the result."""
    from ..catalog.cards import card
    from ..models.runtime import runtime
    from ..train import ladder
    from .candidates import Trainer
    from .verdict import conclude

    config, state, budget = job.config, runtime(), seconds(job.config.budget)
    job.progress.note(state.line)
    plans = ladder.plan(data.task, data.train.targets, job.training, card, small=data.small,
                        available=memory_to_plan_for(), wanted=config.candidates, model=config.model,
                        precision={"torch.float32": "fp32"}.get(str(state.dtype), "bf16"))
    trainer = Trainer(job, data, budget)
    tried = [trainer.attempt(one, one.rung.name in config.candidates or (
        config.model is not None and one.rung.base == config.model)) for one in plans]
    if not any(t.record.status == "trained" for t in tried):
        reasons = [t.record.reason for t, one in zip(tried, plans, strict=True) if one.skip != ladder.NOT_ASKED]
        raise UserError(f"No candidate was trained: {'; '.join(dict.fromkeys(reasons))}.",
                        "Name others with --candidates, or raise --budget.")
    result = conclude(job, data, health, trainer, tried, {one.rung.name: one for one in plans})
    _bundle(result, data, next(t for t in tried if t.record.name == result.verdict.candidate), job.folder)
    write(job.folder.result, result.model_dump_json(indent=1))
    return result


def _bundle(result: Result, data: Data, winner: Tried, folder: RunFolder) -> None:
    """Write the winner as a deployable folder, proven to answer like the trained model."""
    from ..catalog import fetch
    from ..catalog.cards import card
    from ..evaluate.card import model_card
    from ..export import bundle
    from .verdict import final

    best = result.winner
    scores = final(best)
    assert best.calibration is not None
    bundle.write(
        folder.bundle, classifier=winner.classifier(), task=data.task, name=result.run, data_hash=result.data_hash,
        sample_texts=data.judged.texts[:PARITY_TEXTS], card=model_card(result),
        scores={"macro_f1": scores.macro_f1, "accuracy": scores.accuracy, "micro_f1": scores.micro_f1},
        temperature=best.calibration.temperature, abstention=result.abstention,
        text_column=result.health.detected.get("text column"),
        base_model=PurePath(best.model).name if best.model else None,  # of a folder its name: bundles travel
        base_hash=fetch.base_hash(card(best.model)) if best.model else None,
        licences={PurePath(name).name: text for name, text in result.licences.items()}, replace=True)


def _record(store: Store, id: int, result: Result, folder: RunFolder) -> None:
    """Put the run's figures and its bundle into the store."""
    from ..catalog.sources import sha256
    from ..export.manifest import FORMAT

    for one in result.candidates:
        for scores in filter(None, (one.selection, one.test)):
            e = scores.score
            store.record_scores(id, one.name, scores.split, scores.metric, e.value, e.low, e.high, e.n)
    store.record_bundle(id, folder.bundle.absolute(), FORMAT, sha256(folder.bundle / "bundle.json"))
    store.finish_run(id, "finished", result.verdict.candidate, result.seconds, result.model_dump(mode="json"))
