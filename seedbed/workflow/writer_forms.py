"""Forms of a model that writes: how they are made, proven and measured where the smallest of them is sought."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, UserError
from ..evaluate.frontier import LOSS, Point
from ..progress import Progress
from ..records import TENTATIVE_BELOW
from .forms import ORIGINAL, Apart, Form, Subject, forms, refuse, refused, size_of, unproven

if TYPE_CHECKING:
    from ..evaluate.costs import Pace
    from ..export.certificate import Certificate
    from ..export.targets.writers import WriterTarget
    from ..export.writer_reference import Reference
    from .writer_exporting import RunRows


class WriterSubject(Subject):
    """A model that writes. What a form of it loses is by how much a learned token of the test rows costs more nats;
    its answers are not judged, since writing them takes a form as long as all the rest together.

    Args:
        folder: its bundle.
        reference: its model in fp32, with the test rows.
        wrong: forms that their target refuses beforehand.
        read: gives the run's rows as the tokenizer of another model folder reads them.
    """

    metric, floor = LOSS, 0.02

    def __init__(self, folder: Path, reference: Reference, some: Sequence[Form[WriterTarget]],
                 wrong: dict[str, UserError], read: Callable[[Path], RunRows]) -> None:
        from ..export.manifest import Manifest
        from ..export.writer_artefact import facts

        self.folder, self.reference, self.forms, self.refused, self.read = folder, reference, some, wrong, read
        manifest = Manifest.open(folder)
        self.entry, self.facts = manifest.reference, facts(manifest)
        self.model = folder / self.entry.folder
        self.n = units(reference.told[2], len(reference.told[0]))
        self.pace: Pace | None = None

    @classmethod
    def open(cls, folder: Path, to: Sequence[str], most: int | None, seed: int, progress: Progress, *,
             spare: bool = False) -> WriterSubject:
        """Of a bundle.

        Args:
            spare: the learned rows are those that `forms.set_apart` keeps.

        Raises:
            DataError: there are no rows that the model has not learned from, or too few. UserError: no target can
                write it.
        """
        from ..export.manifest import Manifest
        from ..export.targets import need
        from ..export.targets.writers import WRITERS, suited
        from ..export.writer_reference import Reference
        from .writer_exporting import run_rows
        from .writing import MOST

        manifest = Manifest.open(folder)
        for file in manifest.reference.files:
            file.check(folder, whole=True)
        model, most = folder / manifest.reference.folder, most or MOST["test"]
        some = [Form(target, form.precision, need(target)) for form in forms(to, WRITERS)
                for target in (suited(form.target, model),)]
        wrong = refused(some, lambda form: form.target.refuse(model, form.precision))
        assert most is not None
        read = partial(run_rows, folder, manifest, most, seed, whole=True, spare=spare)
        rows = read(model=model)
        if not rows.held:
            raise unproven(rows.note)
        _enough(units(rows.unit, len(rows.held)))
        progress.note(rows.note)
        return cls(folder, Reference.open(model, rows.held, rows.learned, rows.unit), some, wrong,
                   lambda other: read(model=other))

    def original(self) -> Point:
        import numpy as np

        from ..evaluate.cases import by_unit
        from ..evaluate.intervals import ratio
        from ..export.measured import measure_writer

        one = self.reference
        costs = measure_writer(self.model, self.model, "", one.texts()["long"])
        self.pace = costs.pace
        rows, tokens, unit = one.told
        lost = by_unit(np.array([float(one.nats(row).sum()) for row in rows]), unit)
        return Point(name=ORIGINAL, sequence=ORIGINAL, status="measured", size=self.entry.size, memory=costs.memory,
                     pace=costs.pace, load=costs.load, score=ratio(lost, by_unit(tokens, unit)))

    def smaller(self, bundle: Path) -> WriterSubject:
        from ..export.manifest import Manifest
        from ..export.writer_reference import Reference

        model = bundle / Manifest.open(bundle).reference.folder
        wrong = refused(self.forms, lambda form: form.target.refuse(model, form.precision))
        rows = self.read(model)
        if not rows.held:
            raise unproven(rows.note)
        made = WriterSubject(bundle, Reference.open(model, rows.held, rows.learned, rows.unit, self.reference),
                             self.forms, wrong, self.read)
        _enough(made.n)
        made.pace = self.pace
        return made

    def apart(self, form: Form[Any] | None, part: Path) -> Apart:
        """By how much a learned token costs more nats; both figures are this."""
        if form is None:
            more = self.reference.rise(self.reference)
        else:
            with form.target.opened(part, self.model) as opened:
                opened.runtime.forget()
                more = self.reference.rise(opened.runtime)
        return Apart(more, more)

    def attempt(self, form: Form[Any], part: Path) -> tuple[Point, Certificate]:
        from ..export.measured import measure_writer
        from ..export.writer_artefact import make, prove

        make(part, self.model, self.reference, form.target, form.precision, self.facts)
        proof = prove(part, self.model, self.reference, form.target, form.precision, floor=math.inf, timed=False)
        refuse(proof)
        costs, rise = measure_writer(part, self.model, form.target.name, self.reference.texts()["long"]), proof.rise
        assert rise is not None
        return Point(name=form.name, sequence=form.target.name, status="measured", size=size_of(part),
                     memory=costs.memory, pace=costs.pace, load=costs.load, score=rise.after, loss=rise.more
                     ), proof.model_copy(update={"pace": costs.pace, "reference_pace": self.pace})


def _enough(cases: int) -> None:
    """Raises DataError where so few cases prove nothing."""
    if cases < TENTATIVE_BELOW:
        raise DataError(f"{cases} independent test rows are compared, and fewer than {TENTATIVE_BELOW} prove "
                        "nothing of a loss: how far it varies from row to row cannot be told.",
                        "Train with more test rows (--test FILE), raise --rows, or take the limits of: seedbed "
                        "export RUN")


def units(unit: Sequence[int] | None, rows: int) -> int:
    """Independent cases among so many rows."""
    return rows if unit is None else len(set(unit))
