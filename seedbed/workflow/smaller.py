"""`seedbed compress RUN`: the smallest form of a run's model that is proven to lose no more than a floor."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import DataError, MissingExtra, QualityFloor, UserError
from ..evaluate.frontier import Frontier, Point, Prefer, chosen, judged
from ..export.manifest import REFERENCE
from ..options import check, option
from ..progress import SILENT, Progress
from .config import RunFolder, write
from .exporting import bundle_of, held_out

if TYPE_CHECKING:
    from ..evaluate.result import Result
    from ..export.artefact import Made, Source
    from ..export.targets import Target

ORIGINAL = "original"
BITS = ("fp32", "bf16", "int8", "int4")
"""Precisions in the order in which they are tested: each is a larger risk than the one before."""


@dataclass(frozen=True)
class FloorConfig:
    """The search for a smaller form. Flags, Python and docs come from these fields."""

    floor: float = option(0.01, "The largest loss of accuracy that is accepted, as a share of the rows.",
                          minimum=0.0001, maximum=0.5)
    confidence: float = option(0.95, "How sure it must be that no more is lost.", minimum=0.5, maximum=0.999)
    prefer: str = option("size", "What the form that is taken has the least of: size, speed (time for one text) or "
                                 "memory.", choices=("size", "speed", "memory"))
    to: tuple[str, ...] = option((), "Targets to try, each in all its precisions; by default those whose packages "
                                     "are installed.")
    rows: int = option(10_000, "Most held-out rows of the run that each form answers.", minimum=1)
    seed: int = option(0, "Fixes everything random.", minimum=0)


def smaller(source: str | Path, config: FloorConfig | None = None, *, progress: Progress = SILENT) -> Frontier:
    """Try every form of a model, and add the one to its bundle that is proven good enough and costs the least.

    All that was tried is written to the run's result and report. Where nothing passes, `chosen` is None and the bundle
    is as it was.

    Args:
        source: a run folder of `seedbed run`.

    Raises:
        NotFound: no bundle there. DataError: no rows that the model has not learned from.
        MissingExtra: no target's packages are installed. UserError: the model needs no smaller form.
    """
    from ..export.artefact import Source, keep, made, workshop
    from ..export.bundle import open_bundle

    config = config or FloorConfig()
    check(config)
    folder = bundle_of(Path(source))
    bundle = open_bundle(folder, verify=True, engine=REFERENCE)
    targets = _targets(config.to)
    bundle.answering  # noqa: B018
    for target in targets:
        target.refuse(bundle.classifier, target.precisions[0])
    held, note = held_out(folder, bundle.manifest, config)
    if held is None:
        raise DataError(f"Nothing tells how much a smaller form loses. {note}",
                        "Name the folder of the run, which holds its rows.")
    progress.note(note)
    one = Source(bundle, held, config.seed)
    wanted = [(target, precision) for target in targets for precision in BITS if precision in target.precisions]
    work = "try smaller forms"
    progress.start(work, len(wanted) + 1, "forms")
    with workshop(bundle) as place:
        tried = [_original(one)]
        progress.advance(work)
        forms = dict[str, Made]()
        for target, precision in wanted:
            name = f"{target.name}-{precision}"
            try:
                forms[name] = made(one, target, precision, place)
                tried.append(_point(one, forms[name], target.name))
            except (QualityFloor, UserError) as problem:
                tried.append(Point(name=name, sequence=target.name, status="refused", reason=problem.message))
            progress.advance(work)
        points = judged(tried, {name: form.bound for name, form in forms.items()}, config.floor, config.confidence)
        best = chosen(points, cast(Prefer, config.prefer))
        found = Frontier(floor=config.floor, confidence=config.confidence, prefer=cast(Prefer, config.prefer),
                         metric=bundle.task.metric, n=len(held.texts), points=points, chosen=best)
        if best is not None:
            keep(one, forms[best], found.point(best).level or config.confidence)
    progress.done(work)
    _tell(folder, found)
    return found
