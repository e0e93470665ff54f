"""`seedbed compress RUN --floor`: the smallest form of a run's model that is proven to lose no more than a floor."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import CorruptFile, NoResources, QualityFloor, UserError
from ..evaluate.frontier import Frontier, Point, Prefer, chosen, judged
from ..options import check, option
from ..progress import SILENT, Progress
from .config import RunFolder, write
from .exporting import bundle_of, remember
from .forms import Form, LabelSubject, Subject

if TYPE_CHECKING:
    from ..export.certificate import Certificate


@dataclass(frozen=True)
class FloorConfig:
    """The search for a smaller form. Flags, Python and docs come from these fields."""

    floor: float | None = option(None, "The most that may be lost: of a classifier a share of the rows, 0.01 when "
                                       "not said; of a model that writes by how much the loss may rise, in nats a "
                                       "token, 0.02 when not said.", minimum=0.0001, maximum=0.5)
    confidence: float = option(0.95, "How sure it must be that no more is lost.", minimum=0.5, maximum=0.999)
    prefer: str = option("size", "What the form that is taken has least of: size, speed (the time for one text, or "
                                 "for one token that is written) or memory.", choices=("size", "speed", "memory"))
    to: tuple[str, ...] = option((), "Targets to try, each in all its precisions or in one (gguf:q8_0); by default "
                                     "those whose packages are installed, without litert and executorch, which take "
                                     "minutes.")
    rows: int | None = option(None, "Most held-out rows of the run that each form answers; 10,000 when not said, or "
                                    "500 of a model that writes.", minimum=1)
    seed: int = option(0, "Fixes everything random.", minimum=0)


ROWS = 10_000
"""Held-out rows that each form of a classifier answers, at most, where it is not said."""


def smaller(source: str | Path, config: FloorConfig | None = None, *, progress: Progress = SILENT) -> Frontier:
    """Try every form of a model, and add to its bundle the one that is proven good enough and costs the least.

    What was found is written to the run's result and report. Where nothing passes, `chosen` is None and the bundle is
    as it was.

    Args:
        source: a run folder of `seedbed run`, or of `seedbed train` whose model writes.

    Raises:
        NotFound: there is no bundle. DataError: there are no rows that the model has not learned from, or too few.
        MissingExtra: no target's packages are installed. UserError: no target can write the model.
    """
    from ..export.artefact import commit
    from ..export.beside import beside

    config = config or FloorConfig()
    check(config)
    folder = bundle_of(Path(source))
    subject = subject_of(source, folder, config, progress)
    floor = subject.floor if config.floor is None else config.floor
    proofs: dict[str, Certificate] = {}
    work = "try smaller forms"
    progress.start(work, len(subject.forms) + 1, "forms")
    with beside(folder / "smaller") as place:
        place.mkdir()
        tried = [subject.original()]
        progress.advance(work)
        for form in subject.forms:
            point, proof = attempt(subject, form, place / form.name)
            tried.append(point)
            if proof is not None and proof.bound is not None:
                proofs[form.name] = proof
                if not proof.bound(config.confidence) <= floor:  # at a higher one it is larger still
                    shutil.rmtree(place / form.name)
            progress.advance(work)
        bounds = {name: proof.bound for name, proof in proofs.items() if proof.bound}
        points = judged(tried, bounds, floor, config.confidence)
        best = chosen(points, cast(Prefer, config.prefer))
        found = Frontier(floor=floor, confidence=config.confidence, prefer=cast(Prefer, config.prefer),
                         metric=subject.metric, n=subject.n, points=points, chosen=best)
        if best is not None:
            form = next(form for form in subject.forms if form.name == best)
            proof = proofs[best].held_to(floor, found.point(best).level or config.confidence)
            commit(folder, place / best, best, form.target.name, proof, form.tools, subject.probes)
            remember(folder)
    progress.done(work)
    tell(folder.parent, found)
    return found


def subject_of(source: str | Path, folder: Path, config: FloorConfig, progress: Progress, *,
               spare: bool = False) -> Subject:
    """The model of a bundle, with the rows that tell what a form of it loses; raises as `smaller`.

    Args:
        spare: the learned rows are those that `forms.set_apart` keeps.
    """
    from ..export.manifest import Manifest
    from ..tasks.classify import Classify
    from .writer_forms import WriterSubject

    manifest = Manifest.open(folder)
    kind = str(manifest.task.get("task"))
    if manifest.reference.kind == "writer":
        return WriterSubject.open(folder, config.to, config.rows, config.seed, progress, spare=spare)
    if kind != Classify.name:
        raise UserError(f"{source} is for the task {kind}; the smallest proven form is searched for models that give "
                        "labels or that write.", "Take something away with --how.")
    return LabelSubject.open(folder, config.to, config.rows or ROWS, config.confidence, config.seed, progress)


def attempt(subject: Subject, form: Form[Any], part: Path) -> tuple[Point, Certificate | None]:
    """Make and prove one form, in a folder of its own; one that is refused is gone, and has no certificate."""
    try:
        if form.name in subject.refused:
            raise subject.refused[form.name]
        return subject.attempt(form, part)
    except NoResources:
        raise
    except (QualityFloor, UserError, CorruptFile) as problem:
        shutil.rmtree(part, ignore_errors=True)
        return Point(name=form.name, sequence=form.target.name, status="refused", reason=problem.message), None


def tell(run: Path, found: Frontier) -> None:
    """Write the frontier into the run's result and report, where the run has them."""
    from ..evaluate import report
    from ..evaluate.figures import TuneResult
    from ..evaluate.result import Result
    from .stops import finished

    folder = RunFolder(run)
    result = finished(folder, TuneResult) if found.writes else finished(folder, Result)
    if result is not None:
        result = result.model_copy(update={"frontier": found})
        write(folder.result, result.model_dump_json(indent=1))
        report.write(result, run)
