"""Forms of a run's model, of which `smaller` takes one: which are tried; how a classifier's are made and measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import DataError, MissingExtra, QualityFloor, UserError
from ..evaluate.frontier import Point
from ..export.targets import Named
from ..progress import Progress
from ..tasks.classify import Floats

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..export.artefact import Source
    from ..export.certificate import Certificate
    from ..export.probes import Probes
    from ..export.targets import Target
    from ..plugins import Registry

T = TypeVar("T", bound=Named)
LEARNED = 500
"""Rows that a classifier has learned from, of which each form says how far it is from the original, at most."""
ORIGINAL = "original"
SLOW = ("litert", "executorch", "gguf_lora")
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
    from ..export.targets import asked, need, risk

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
        kept.items(), key=lambda one: (order.index(one[0][0]), risk(one[0][1])))]


def set_apart(rows: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Rows that a model has learned from, in two: those that decide what is taken away, and a fifth (500 at most)
    that tell what it costs. Of the former no word is missing where words are taken away: they would tell nothing."""
    import numpy as np

    count = min(LEARNED, max(1, len(rows) // 5))
    telling = np.random.default_rng(seed).choice(len(rows), count, replace=False).tolist()
    return rows.take(sorted(set(range(len(rows))) - set(telling))), rows.take(sorted(telling))


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


@dataclass(frozen=True)
class Apart:
    """What a form makes of rows that the original has learned from: no proof, and no row is spent that could be one.

    Args:
        lost: more than the original, in the unit of the floor.
        apart: how far it is from the original; no two forms are alike in this.
    """

    lost: float
    apart: float


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

    @abstractmethod
    def smaller(self, bundle: Path) -> Subject:
        """The same rows and forms for a model that parts were taken from: what is lost still counts from this one.

        Args:
            bundle: of the smaller model.

        Raises:
            UserError, DataError: no target can write it, or it does not read the rows.
        """

    @abstractmethod
    def apart(self, form: Form[Any] | None, part: Path) -> Apart:
        """What a form that was written makes of the learned rows; the model itself where there is no form."""


@dataclass(frozen=True)
class Learned:
    """Rows that a classifier has learned from, and what it says of them. [rows, labels] logits"""

    texts: Sequence[str]
    targets: Sequence[Any]
    logits: Floats


class LabelSubject(Subject):
    """A classifier.

    Args:
        source: its bundle, with the held-out rows.
        rows: the same as a table.
        first: the model that parts were taken from to make this one, if they were.
    """

    floor = 0.01

    def __init__(self, source: Source, rows: Dataset, some: Sequence[Form[Target]],
                 refused: dict[str, UserError], first: LabelSubject | None = None) -> None:
        self.source, self.rows, self.forms, self.refused, self.first = source, rows, some, refused, first or self
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

    @cached_property
    def learned(self) -> Learned:
        """Rows that the model has learned from, with its answers."""
        from ..data.freeze import open_splits

        _, rows = set_apart(open_splits(self.source.bundle.folder.parent).part("train"), self.source.seed)
        return Learned(rows.texts, rows.targets, self._logits(self.source.reference, rows.texts))

    def _logits(self, model: Any, texts: Sequence[str]) -> Floats:
        found: Floats = self.source.bundle.yard.ask(model, texts)
        return found

    def smaller(self, bundle: Path) -> LabelSubject:
        from ..export.artefact import Source
        from ..export.bundle import open_bundle
        from ..export.manifest import REFERENCE

        opened, mine = open_bundle(bundle, engine=REFERENCE), self.source
        assert mine.held is not None and mine.answered is not None
        wrong = refused(self.forms, lambda form: form.target.refuse(opened.classifier, form.precision))
        return LabelSubject(Source(opened, replace(mine.held, original=mine.answered.answers), mine.seed), self.rows,
                            self.forms, wrong, self)

    def apart(self, form: Form[Target] | None, part: Path) -> Apart:
        """Lost is the share of right answers, apart the mean total variation of the probabilities."""
        import numpy as np

        from ..engines.base import load_classifier
        from ..export.labels import right_of

        bundle, rows = self.source.bundle, self.first.learned
        task, temperature = bundle.task, bundle.manifest.temperature
        model = load_classifier(part) if form else self.source.reference
        said, y = self._logits(model, rows.texts), task.encode(rows.targets)
        right = [right_of(task, y, one, temperature).mean() for one in (rows.logits, said)]
        both = [task.probabilities(one, temperature) for one in (rows.logits, said)]
        return Apart(float(right[0] - right[1]), float(np.abs(both[0] - both[1]).sum(axis=1).mean() / 2))

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
