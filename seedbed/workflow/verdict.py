"""From what the candidates said to a result: the choice, the winner's proof, and the words that come first."""

from __future__ import annotations

import platform
import shlex
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..catalog.cards import card
from ..catalog.datasets import DATASETS, local_dataset
from ..data.health import Health
from ..evaluate.abstain import abstention, risk_coverage
from ..evaluate.calibrate import calibration, fit_temperature
from ..evaluate.choose import Choice, choose
from ..evaluate.curve import learning_curve
from ..evaluate.mistakes import mistakes
from ..evaluate.result import Abstention, Candidate, LearningCurve, Result, Scores, SliceScore, Verdict
from ..evaluate.slices import slices
from ..machine import machine
from ..options import flag_of
from .candidates import Data, Tried, rows_of
from .config import plain

if TYPE_CHECKING:
    from .job import _Job

CURVE_SECONDS = 240.0
"""Longest time that the learning curve may cost; a dearer winner's curve is drawn with the best cheaper candidate."""
PACKAGES = ("seedbed", "torch", "transformers", "peft", "tokenizers", "scikit-learn", "numpy")


def conclude(job: _Job, data: Data, health: Health, data_hash: str, tried: list[Tried],
             plans: dict[str, Any]) -> Result:
    """Choose among the trained candidates and measure the winner."""
    config, task = job.config, data.task
    y = task.encode(data.selection.targets)
    judged, truth = rows_of(data)
    trained = {t.record.name: t for t in tried if t.record.status == "trained"}
    choice = choose(task, y, {name: _need(t.selection) for name, t in trained.items()},
                    {name: t.record.cost_rank for name, t in trained.items()}, seed=config.seed)
    winner = trained[choice.candidate]
    said = _need(winner.selection if winner.test is None else winner.test)
    job.progress.start("measure", 3, "parts")
    records = []
    for one in tried:
        record = one.record.model_copy(update={"comparison": choice.comparisons.get(one.record.name)})
        if one.selection is not None:
            heat = fit_temperature(task, y, one.selection)
            record = record.model_copy(update={"calibration": calibration(
                task, truth, one.selection if one.test is None else one.test, heat, seed=config.seed)})
        records.append(record)
    job.progress.advance("measure")
    heat = fit_temperature(task, y, _need(winner.selection))
    refuse = None if winner.test is None or data.small else abstention(
        task, (y, _need(winner.selection)), (truth, winner.test), heat, config.target_error)
    parts = slices(task, judged, truth, said, seed=config.seed)
    job.progress.advance("measure")
    curve = _curve(job, trained, choice.candidate, plans) if config.learning_curve else None
    job.progress.done("measure")
    best = next(r for r in records if r.name == choice.candidate)
    return Result(
        run=job.folder.path.absolute().name, created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command(job), config={**plain(config), "training": plain(job.training)}, task=task.to_dict(),
        data_hash=data_hash, protocol="cross-validation" if data.small else "holdout",
        rows={"train": len(data.train), **({} if data.small else {"validation": len(data.selection)}),
              **({"test": len(data.test)} if len(data.test) else {})},
        health=health, candidates=records, verdict=_verdict(choice, best, refuse, parts, health, data), curve=curve,
        coverage=risk_coverage(task, truth, said, heat), abstention=refuse, slices=parts,
        mistakes=mistakes(task, judged, truth, said, heat), environment=_environment(job),
        licences=_licences(best, job), seconds=time.monotonic() - job.begin)


def _need(logits: Any) -> Any:
    assert logits is not None, "a trained candidate has said something about every row"
    return logits


def _curve(job: _Job, trained: dict[str, Tried], winner: str, plans: dict[str, Any]) -> LearningCurve:
    """Of the winner where that is affordable, else of the dearest candidate that is."""
    budgeted = [name for name, t in trained.items() if t.record.seconds <= CURVE_SECONDS]
    name = winner if winner in budgeted or not budgeted else max(budgeted, key=lambda n: trained[n].record.cost_rank)
    return learning_curve(job.trainer.curve(plans[name], trained[name]), candidate=name)


def _verdict(choice: Choice, best: Candidate, refuse: Abstention | None, parts: list[SliceScore], health: Health,
             data: Data) -> Verdict:
    scores: Scores = best.test or best.selection  # type: ignore[assignment]
    a = scores.accuracy
    cautions = []
    if choice.tentative:
        cautions.append(f"Tentative: {scores.n} rows are too few to be sure; label more before relying on it."
                        if choice.learned else
                        "Tentative: no candidate is proven better than always giving the commonest label.")
    if data.small:
        cautions.append(f"All {scores.n} rows were used to learn and, in turns, to test (cross-validation); "
                        "no rows were kept that nothing had seen.")
    cautions += [f"Worse on {one.dimension} {one.value}: {one.score.value:.2f} ({one.score.n} texts)."
                 for one in parts if one.worse]
    weak = [c for c in scores.per_class if c.f1.value < 0.5 and c.support]
    cautions += [f"The label {c.label} is often missed: found {c.recall.value:.0%} of {c.support}." for c in weak[:3]]
    if refuse is not None and refuse.threshold is None:
        cautions.append(f"No confidence threshold keeps errors below {refuse.target_error:.0%}: a person must look "
                        "at every answer that matters.")
    cautions += [f"Data: {f.message}" for f in health.findings if f.severity == "error"]
    headline = (f"{best.title}: right on {a.value:.0%} of {scores.n} texts"
                f"{' it never saw' if scores.split == 'test' else ''} ({a.low:.0%} to {a.high:.0%}).")
    return Verdict(candidate=choice.candidate, rule=choice.rule, headline=headline, cautions=cautions)


def command(job: _Job) -> str:
    """The line that repeats the run: the source and every flag that is not its default."""
    words = ["seedbed", "run", job.source]
    for one in (job.config, job.training):
        for field in type(one).__dataclass_fields__.values():
            value = getattr(one, field.name)
            if value == field.default or value is None:
                continue
            if isinstance(value, bool):
                words.append(flag_of(field) if value else f"--no-{flag_of(field)[2:]}")
            else:
                words += [flag_of(field), ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)


def _environment(job: _Job) -> dict[str, Any]:
    from ..models.runtime import runtime
    return {"versions": {name: version(name) for name in PACKAGES}, "python": platform.python_version(),
            "machine": machine().to_dict(), "runtime": runtime().describe(), "seed": job.config.seed}


def _licences(best: Candidate, job: _Job) -> dict[str, str]:
    """Of the base model, and of the data where Seedbed fetched it itself."""
    out = {}
    if best.model:
        out[best.model] = card(best.model).licence or "not known"
    for name, data in DATASETS.items():
        if job.source in {str(path) for path in (local_dataset(name) or {}).values()}:
            out["data"] = data.licence
    return out
