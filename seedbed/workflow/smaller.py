"""`seedbed compress RUN --floor`: the smallest form of a run's model that is proven to lose no more than a floor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import CorruptFile, DataError, MissingExtra, QualityFloor, UserError
from ..evaluate.frontier import Frontier, Point, Prefer, chosen, judged
from ..options import check, option
from ..progress import SILENT, Progress
from .config import RunFolder, write
from .exporting import bundle_of, held_rows

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..export.artefact import Source
    from ..export.certificate import Certificate
    from ..export.targets import Target

ORIGINAL = "original"
BITS = ("fp32", "bf16", "int8", "int4")
"""Precisions in the order in which they are tested: each is a larger risk than the one before."""
SLOW = ("litert", "executorch")
"""Targets that export for minutes, and whose runtimes share the error rate for little: tried when they are named."""


@dataclass(frozen=True)
class FloorConfig:
    """The search for a smaller form. Flags, Python and docs come from these fields."""

    floor: float = option(0.01, "The largest loss of accuracy that is accepted, as a share of the rows.",
                          minimum=0.0001, maximum=0.5)
    confidence: float = option(0.95, "How sure it must be that no more is lost.", minimum=0.5, maximum=0.999)
    prefer: str = option("size", "What the form that is taken has least of: size, speed (the time for one text) or "
                                 "memory.", choices=("size", "speed", "memory"))
    to: tuple[str, ...] = option((), "Targets to try, each in all its precisions; by default those whose packages "
                                     "are installed, without litert and executorch, which take minutes.")
    rows: int = option(10_000, "Most held-out rows of the run that each form answers.", minimum=1)
    seed: int = option(0, "Fixes everything random.", minimum=0)


def smaller(source: str | Path, config: FloorConfig | None = None, *, progress: Progress = SILENT) -> Frontier:
    """Try every form of a model, and add to its bundle the one that is proven good enough and costs the least.

    What was found is written to the run's result and report. Where nothing passes, `chosen` is None and the bundle is
    as it was.

    Args:
        source: a run folder of `seedbed run`.

    Raises:
        NotFound: there is no bundle. DataError: there are no rows that the model has not learned from.
        MissingExtra: no target's packages are installed. UserError: no target can write the model.
    """
    from ..export.artefact import Source, commit
    from ..export.beside import beside
    from ..export.bundle import open_bundle
    from ..export.certificate import Held
    from ..export.manifest import REFERENCE, Manifest
    from ..tasks.classify import Classify

    config = config or FloorConfig()
    check(config)
    folder = bundle_of(Path(source))
    kind = str(Manifest.open(folder).task.get("task"))
    if kind != Classify.name:
        raise UserError(f"{source} is for the task {kind}; the smallest proven form is searched for labels alone.",
                        "Take something away with --how, or export it: seedbed export RUN --to gguf")
    bundle = open_bundle(folder, verify=True, engine=REFERENCE)
    targets = _targets(config.to)
    for target, _ in targets:
        target.refuse(bundle.classifier, target.precisions[0])
    rows, note = held_rows(folder, bundle.manifest, config.rows, config.seed)
    if rows is None:
        raise DataError(f"Nothing tells what a smaller form loses. {note}", "Name a run folder: it holds its rows.")
    progress.note(note)
    one = Source(bundle, Held(rows.texts, rows.targets, 1.0, config.confidence), config.seed)
    wanted = [(target, precision, tools) for target, tools in targets for precision in BITS
              if precision in target.precisions]
    work = "try smaller forms"
    progress.start(work, len(wanted) + 1, "forms")
    with beside(folder / "smaller") as place:
        place.mkdir()
        tried = [_original(one)]
        proofs: dict[str, Certificate] = {}
        progress.advance(work)
        for target, precision, _ in wanted:
            point, proof = _try(one, rows, target, precision, place)
            tried.append(point)
            if proof is not None:
                proofs[point.name] = proof
            progress.advance(work)
        bounds = {name: proof.loss.at for name, proof in proofs.items() if proof.loss}
        points = judged(tried, bounds, config.floor, config.confidence)
        best = chosen(points, cast(Prefer, config.prefer))
        found = Frontier(floor=config.floor, confidence=config.confidence, prefer=cast(Prefer, config.prefer),
                         metric=bundle.task.metric, n=len(rows), points=points, chosen=best)
        if best is not None:
            target, precision, tools = next(form for form in wanted if _name(form[0], form[1]) == best)
            proof = proofs[best].held_to(config.floor, found.point(best).level or config.confidence)
            commit(folder, place / best, best, target.name, proof, tools, one.probes)
    progress.done(work)
    _tell(folder.parent, found)
    return found


def _targets(names: tuple[str, ...]) -> list[tuple[Target, dict[str, str]]]:
    """Those that are named, or those that are installed and not `SLOW`; each with the versions of its packages."""
    from ..export.targets import TARGETS, need

    if names:
        return [(target, need(target)) for target in map(TARGETS.get, names)]
    found, missing = [], list[MissingExtra]()
    for target in (TARGETS.get(name) for name in TARGETS if name not in SLOW):
        try:
            found.append((target, need(target)))
        except MissingExtra as problem:
            missing.append(problem)
    if not found:
        raise missing[0]
    return found


def _name(target: Target, precision: str) -> str:
    return f"{target.name}-{precision}"


def _original(one: Source) -> Point:
    """The model as it was trained, which every form is held against."""
    from ..evaluate.scores import score
    from ..export.measured import measure

    entry, task = one.bundle.manifest.reference, one.bundle.task
    assert one.answered is not None and one.answered.logits is not None
    costs = measure(one.bundle.folder / entry.folder, one.texts)
    scores = score(task, task.encode(one.answered.targets), one.answered.logits, "test")
    return Point(name=ORIGINAL, sequence=ORIGINAL, status="measured", size=entry.size, memory=costs.memory,
                 speed=costs.speed, score=scores.score, accuracy=scores.accuracy)


def _try(one: Source, rows: Dataset, target: Target, precision: str, place: Path) -> tuple[Point, Certificate | None]:
    """Write a form into a folder of `place`, prove it, and measure it; one that is refused is gone."""
    import numpy as np

    from ..evaluate.slices import fallen
    from ..export.artefact import make, prove
    from ..export.measured import measure

    name = _name(target, precision)
    try:
        make(one, target, precision, place / name)
        proof = prove(one, place / name, precision, timed=False)
        if proof.failed:
            raise QualityFloor(f"It answers otherwise than the original: {proof.failed[0].told}.", "")
        costs = measure(place / name, one.texts)
    except (QualityFloor, UserError, CorruptFile) as problem:
        return Point(name=name, sequence=target.name, status="refused", reason=problem.message), None
    loss = proof.loss
    assert loss is not None
    before, after = np.ones(loss.n, bool), np.ones(loss.n, bool)
    before[loss.won], after[loss.lost] = False, False
    size = sum(file.stat().st_size for file in (place / name).rglob("*") if file.is_file())
    return Point(name=name, sequence=target.name, status="measured", size=size, memory=costs.memory,
                 speed=costs.speed, score=loss.scores[one.bundle.task.metric][1], accuracy=loss.scores["accuracy"][1],
                 loss=loss.before - loss.after, fell=fallen(rows, before, after)), proof


def _tell(run: Path, found: Frontier) -> None:
    """Write the frontier into the run's result and report, where the run has them."""
    from ..evaluate import report
    from ..evaluate.result import Result
    from .stops import finished

    folder = RunFolder(run)
    result = finished(folder, Result)
    if result is not None:
        result = result.model_copy(update={"frontier": found})
        write(folder.result, result.model_dump_json(indent=1))
        report.write(result, run)
