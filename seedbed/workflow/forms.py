"""Forms of a run's model, of which `smaller` takes one: which are tried; how a classifier's are made and measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import DataError, MissingExtra, QualityFloor, UserError
from ..evaluate.frontier import Point
from ..export.targets import Named
from ..progress import Progress

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..export.artefact import Source
    from ..export.certificate import Certificate
    from ..export.probes import Probes
    from ..export.targets import Target
    from ..plugins import Registry

T = TypeVar("T", bound=Named)
ORIGINAL = "original"
RISK = ("fp32", "f16", "bf16", "q8_0", "int8", "q4_k_m", "int4")
"""Precisions in the order in which they are tested: each is a larger risk than the one before."""
SLOW = ("litert", "executorch")
"""Targets that export for minutes, and whose runtimes share the error rate for little: tried when they are named."""


@dataclass(frozen=True)
class Form(Generic[T]):
    """A target in one of its precisions.

    Args:
        tools: versions of what exports.
    """

    target: T
    precision: str
    tools: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.target.name}-{self.precision}"


def forms(words: Sequence[str], targets: Registry[T], slow: Collection[str] = SLOW) -> list[Form[T]]:
    """What is tried: what is named, a target in all its precisions or in one (`gguf:q8_0`); or all targets that are
    installed and not slow. Of each target the most exact first.

    Raises:
        UserError: a target or precision that is not known. MissingExtra: no target's packages are installed, or not
            those of one that was named.
    """
    from ..export.targets import asked, need

    found, missing = list[tuple[T, str]](), list[MissingExtra]()
    for word in words or [name for name in targets if name not in slow]:
        [(target, precision)] = asked([word], targets)
        try:
            need(target)
        except MissingExtra as problem:
            missing.append(problem)
            continue
        alone = words and any(sign in word for sign in ":-")
        found += [(target, one) for one in ((precision,) if alone else target.precisions)]
    if missing and (words or not found):
        raise missing[0]
    order = list(dict.fromkeys(target.name for target, _ in found))
    kept = {(target.name, precision): target for target, precision in found}
    return [Form(target, precision, need(target)) for (_, precision), target in sorted(
        kept.items(), key=lambda one: (order.index(one[0][0]), _risk(one[0][1])))]


def _risk(precision: str) -> int:
    return RISK.index(precision) if precision in RISK else len(RISK)


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def refused(some: Sequence[Form[T]], ask: Callable[[Form[T]], None]) -> dict[str, UserError]:
    """Forms that come out wrong, as their target knows beforehand, by name.

    Args:
        ask: lets a target refuse.

    Raises:
        UserError: all of them do; it is the first one's reason.
    """
    found = dict[str, UserError]()
    for form in some:
        try:
            ask(form)
        except UserError as problem:
            found[form.name] = problem
    if len(found) == len(some):
        raise next(iter(found.values()))
    return found


class Subject(ABC):
    """A run's model, and the rows that tell what a form of it loses.

    Args:
        forms: that are tried.
        refused: those among them that come out wrong, and why.
        metric, n: as `evaluate.frontier.Frontier` has them.
        floor: the most that may be lost, where none is named.
    """

    forms: Sequence[Form[Any]]
    refused: dict[str, UserError]
    metric: str
    n: int
    floor: float

    @property
    def probes(self) -> Probes | None:
        """Texts that prove a form anywhere, for its bundle."""
        return None

    @abstractmethod
    def original(self) -> Point:
        """The model as it was trained, which every form is held against."""

    @abstractmethod
    def attempt(self, form: Form[Any], part: Path) -> tuple[Point, Certificate]:
        """Write a form into a new folder, prove it, and measure it.

        Raises:
            QualityFloor, UserError, CorruptFile: it cannot be had, or answers otherwise.
        """


class LabelSubject(Subject):
    """A classifier.

    Args:
        source: its bundle, with the held-out rows.
        rows: the same as a table.
    """

    floor = 0.01

    def __init__(self, source: Source, rows: Dataset, some: Sequence[Form[Target]],
                 refused: dict[str, UserError]) -> None:
        self.source, self.rows, self.forms, self.refused = source, rows, some, refused
        self.metric, self.n = source.bundle.task.metric, len(rows)

    @classmethod
    def open(cls, folder: Path, to: Sequence[str], most: int, confidence: float, seed: int,
             progress: Progress) -> LabelSubject:
        """Of a bundle.

        Raises:
            DataError: there are no rows that the model has not learned from. UserError: no target can write it.
        """
        from ..export.artefact import Source
        from ..export.bundle import open_bundle
        from ..export.certificate import Held
        from ..export.manifest import REFERENCE
        from ..export.targets import TARGETS
        from .exporting import held_rows

        bundle = open_bundle(folder, verify=True, engine=REFERENCE)
        some = forms(to, TARGETS)
        wrong = refused(some, lambda form: form.target.refuse(bundle.classifier, form.precision))
        rows, note = held_rows(folder, bundle.manifest, most, seed)
        if rows is None:
            raise unproven(note)
        progress.note(note)
        return cls(Source(bundle, Held(rows.texts, rows.targets, 1.0, confidence), seed), rows, some, wrong)

    @property
    def probes(self) -> Probes:
        return self.source.probes

    def original(self) -> Point:
        from ..evaluate.scores import score
        from ..export.measured import measure

        bundle, answered = self.source.bundle, self.source.answered
        entry, task = bundle.manifest.reference, bundle.task
        assert answered is not None
        costs = measure(bundle.folder / entry.folder, self.source.texts)
        scores = score(task, task.encode(answered.targets), answered.answers, "test")
        return Point(name=ORIGINAL, sequence=ORIGINAL, status="measured", size=entry.size, memory=costs.memory,
                     speed=costs.speed, load=costs.load, score=scores.score, accuracy=scores.accuracy)

    def attempt(self, form: Form[Target], part: Path) -> tuple[Point, Certificate]:
        import numpy as np

        from ..evaluate.slices import fallen
        from ..export.artefact import make, prove
        from ..export.measured import measure

        make(self.source, form.target, form.precision, part)
        proof = prove(self.source, part, form.precision, timed=False)
        refuse(proof)
        costs, loss = measure(part, self.source.texts), proof.loss
        assert loss is not None
        before, after = np.ones(loss.n, bool), np.ones(loss.n, bool)
        before[loss.won], after[loss.lost] = False, False
        return Point(name=form.name, sequence=form.target.name, status="measured", size=size_of(part),
                     memory=costs.memory, speed=costs.speed, load=costs.load, score=loss.scores[self.metric][1],
                     accuracy=loss.scores["accuracy"][1], loss=loss.before - loss.after,
                     fell=fallen(self.rows, before, after)), proof


def refuse(proof: Certificate) -> None:
    """Raises QualityFloor for a form that answers otherwise."""
    if proof.failed:
        raise QualityFloor(f"It answers otherwise than the original: {proof.failed[0].told}.",
                           "Take another target or precision.")


def unproven(note: str) -> DataError:
    """What to say of a bundle without held-out rows, and why there are none."""
    return DataError(f"Nothing tells what a smaller form loses. {note}", "Name a run folder: it holds its rows.")
