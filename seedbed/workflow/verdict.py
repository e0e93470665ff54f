"""From what the candidates said to a result: the choice, the winner's proof, and the words that come first."""

from __future__ import annotations

import platform
import shlex
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..catalog.cards import card
from ..catalog.datasets import DATASETS, local_dataset
from ..data.health import Health
from ..evaluate.abstain import abstention, risk_coverage
from ..evaluate.calibrate import calibration, fit_temperature
from ..evaluate.choose import Choice, choose
from ..evaluate.curve import learning_curve
from ..evaluate.grouped import widening
from ..evaluate.mistakes import mistakes
from ..evaluate.report import wording
from ..evaluate.result import Abstention, Candidate, LearningCurve, Result, Scores, SliceScore, Verdict
from ..evaluate.slices import slices
from ..machine import machine
from ..options import flag_of
from ..tasks.classify import Classify, Floats
from ..train.config import TrainConfig
from ..train.ladder import Plan
from .candidates import CURVE, Trainer, Tried
from .config import Job, Main, RunConfig, Training, plain
from .prepare import Data

WIDER = 1.2
"""From this on it is said that intervals would be wider by groups; less may be chance."""
PACKAGES = ("seedbed", "torch", "transformers", "peft", "tokenizers", "scikit-learn", "numpy")


def conclude(job: Job[RunConfig, TrainConfig], data: Data, health: Health, trainer: Trainer, tried: list[Tried],
             plans: dict[str, Plan]) -> Result:
    """Choose among the trained candidates and measure the winner."""
    config, task = job.config, data.task
    y, truth = task.encode(data.selection.targets), task.encode(data.judged.targets)
    trained = {t.record.name: t for t in tried if t.record.status == "trained"}
    said = {name: t.selection for name, t in trained.items() if t.selection is not None}
    choice = choose(task, y, said, {name: t.record.cost_rank for name, t in trained.items()}, seed=config.seed)
    winner = trained[choice.candidate]
    job.progress.start("measure", 3, "parts")
    heats = {name: fit_temperature(task, y, logits) for name, logits in said.items()}
    records = [one.record if one.selection is None else one.record.model_copy(update={
        "comparison": choice.comparisons.get(one.record.name),
        "calibration": calibration(task, truth, one.judged, heats[one.record.name], seed=config.seed)})
        for one in tried]
    job.progress.advance("measure")
    heat = heats[choice.candidate]
    refuse = None if winner.test is None or data.small else abstention(
        task, (y, said[choice.candidate]), (truth, winner.test), heat, config.target_error)
    worse = slices(task, data.judged, truth, winner.judged, seed=config.seed)
    job.progress.advance("measure")
    curve = _curve(trainer, trained, choice.candidate, plans) if config.learning_curve else None
    job.progress.done("measure")
    best = next(r for r in records if r.name == choice.candidate)
    untried = [r for r in records if r.status != "trained" and not (plans[r.name].skip and not plans[r.name].memory)]
    return Result(
        run=job.folder.path.absolute().name, created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command(job), config={**plain(config), "training": plain(job.training)}, task=task.to_dict(),
        data_hash=data.hash, protocol="cross-validation" if data.small else "holdout",
        rows={"train": len(data.train), **({} if data.small else {"validation": len(data.selection)}),
              **({"test": len(data.test)} if len(data.test) else {})},
        health=health, candidates=records, curve=curve,
        verdict=Verdict(candidate=choice.candidate, rule=choice.rule, headline=headline(choice, refuse),
                        cautions=cautions(choice, best, refuse, worse, health, untried) + _kin(
                            task, data, truth, winner.judged, config.seed)),
        coverage=risk_coverage(task, truth, winner.judged, heat), abstention=refuse, slices=worse,
        mistakes=mistakes(task, data.judged, truth, winner.judged, heat), baseline_note=_baseline(records, best),
        environment=environment(job.config.seed), licences=_licences(best, job), seconds=time.monotonic() - job.begin)


def final(one: Candidate) -> Scores:
    """The figures that stand for a trained candidate."""
    scores = one.test or one.selection
    assert scores is not None
    return scores


def _curve(trainer: Trainer, trained: dict[str, Tried], winner: str, plans: dict[str, Plan]) -> LearningCurve:
    """Of the winner where the time allows it, else of the dearest candidate that it does."""
    budgeted = [name for name, t in trained.items() if t.record.seconds * sum(CURVE) <= trainer.curve_seconds]
    name = winner if winner in budgeted or not budgeted else max(budgeted, key=lambda n: trained[n].record.cost_rank)
    return learning_curve(trainer.curve(plans[name], trained[name]), candidate=name)


def headline(choice: Choice, refuse: Abstention | None) -> str:
    """One sentence of at most 90 characters that a manager can act on; the figures stand below it."""
    if not choice.learned:
        return "Not usable yet: nothing is proven better than always giving the commonest label."
    if choice.tentative:
        return "A first sign that it works: label more texts before relying on it."
    if refuse is None:
        return "It has learned; label more texts to know when its answers can be trusted."
    if refuse.threshold is None or refuse.coverage is None or not refuse.coverage.value:
        return "It has learned, but errs too often to answer alone: let a person check each answer."
    kept = f"the {refuse.target_error:.0%} of errors that you accept"
    if refuse.error is not None and refuse.error.low > refuse.target_error:
        return "It errs more often on new texts than it promised: let a person check each answer."
    if refuse.coverage.value >= 0.995:
        return f"Good enough to answer alone, within {kept}."
    return f"Good for clear cases, within {kept}; a person reads the rest."


def cautions(choice: Choice, best: Candidate, refuse: Abstention | None, parts: list[SliceScore], health: Health,
             untried: list[Candidate]) -> list[str]:
    """What to know before relying on it."""
    scores, chosen = final(best), best.selection
    assert chosen is not None
    out = []
    if choice.tentative:
        out.append("Tentative: no candidate is proven better than always giving the commonest label."
                   if not choice.learned else f"Tentative: it was chosen on only {wording.plural(chosen.n, 'text')}."
                   if chosen.n < 30 else
                   "Tentative: the winner itself is not proven better than always giving the commonest label.")
    if scores.split == "cross-validation":
        out.append(f"All {wording.plural(scores.n, 'text')} were used to learn and, in turns, to test "
                   "(cross-validation); none were kept that no candidate had seen.")
    elif scores.split == "validation":
        out.append(f"There are no test texts: the {wording.plural(scores.n, 'text')} that these figures are of also "
                   "chose the winner, so they flatter it.")
    if refuse is not None and refuse.threshold is None:
        out.append(f"{refuse.reason} A person must look at every answer that matters.")
    weak = sorted((c for c in scores.per_class if c.f1.value < 0.5 and c.support), key=lambda c: c.f1.value)
    out += [f"Weak on the label {c.label}: {wording.percent(c.recall.value)} of its "
            f"{wording.plural(c.support, 'text')} are found." for c in weak[:3]]
    out += [f"Worse on {one.dimension} {one.value}: {wording.estimate(one.score, scores.metric)}."
            for one in parts if one.worse]
    out += [f"Data: {f.message}" for f in health.findings if f.severity == "error"]
    out += [f"Not tried: {one.title}: {one.reason}" for one in untried]
    return out


def _kin(task: Classify, data: Data, truth: NDArray[Any], judged: Floats, seed: int) -> list[str]:
    """A caution where rows of one group err together, for the intervals are those of single rows."""
    groups = data.judged.column("group")
    if all(one is None for one in groups):
        return []
    own = [("row", i) if one is None else ("group", one) for i, one in enumerate(groups)]
    wide = widening(task, truth, judged, own, seed=seed)
    if wide < WIDER:
        return []
    return [f"Texts of one group are right or wrong together: by groups ({len(set(own)):,}) instead of by texts, the "
            f"intervals would be about {wide:.1f} times as wide."]


def _baseline(records: list[Candidate], best: Candidate) -> str:
    """What always giving the commonest label would score, where that was tried."""
    plain_one = next((r for r in records if r.name == "majority" and r.status == "trained"), None)
    if plain_one is None or plain_one is best:
        return ""
    a = final(plain_one).accuracy
    return (f"Always giving the commonest label would be right in {wording.percent(a.value)} "
            f"({wording.between(a, 'accuracy')}).")


def command(job: Job[Main, Training]) -> str:
    """The line that repeats the run: the source and every flag that is not its default."""
    words = ["seedbed", job.verb, job.source]
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


def environment(seed: int) -> dict[str, Any]:
    from ..models.runtime import runtime
    return {"versions": {name: version(name) for name in PACKAGES}, "python": platform.python_version(),
            "machine": machine().to_dict(), "runtime": runtime().describe(), "seed": seed}


def _licences(best: Candidate, job: Job[RunConfig, TrainConfig]) -> dict[str, str]:
    """Of the base model, and of the data where Seedbed fetched it itself."""
    out = {}
    if best.model:
        out[best.model] = card(best.model).licence or "not known"
    for name, data in DATASETS.items():
        if Path(job.source).absolute() in {path.absolute() for path in (local_dataset(name) or {}).values()}:
            out["data"] = data.licence
    return out
