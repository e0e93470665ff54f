"""Which form of a model that writes answers: the fastest that is proven, on this machine, now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import ValidationError

from ..catalog.fetch import writer_folder
from ..errors import CorruptFile, MissingExtra, QualityFloor, UserError
from ..models.paired import row_of, source_of
from ..progress import Progress
from ..records import Record
from .manifest import AGAIN, MANIFEST, REFERENCE, EngineEntry, Manifest
from .writer_certificate import Runtime
from .writer_reference import logs

if TYPE_CHECKING:
    from ..engines.author import Author

AUTO = "auto"
TRIAL = "trial.json"
"""In the folder of a form: what it said when it was proven."""
PLACES, WORDS = 4, 32
"""Of a text, how many places are kept, and how many of the likeliest words."""
APART = 0.05
"""Divergence in nats that is allowed between machines: processors differ in the last digits."""


class Trial(Record):
    """What a form said of a text where it was proven, to be told again where it is used."""

    ids: list[int]
    source: int = 0
    """How many of them an encoder reads."""
    words: list[list[int]]
    """The likeliest after each of the last tokens."""
    logs: list[list[float]]
    """Their log-probabilities."""

    @classmethod
    def of(cls, runtime: Runtime, ids: Sequence[int]) -> Self:
        """By an opened form."""
        runtime.forget()
        said = logs(runtime.logits(ids, PLACES))
        best = np.argsort(-said, axis=-1)[:, :WORDS]
        return cls(ids=list(ids), source=source_of(ids), words=best.tolist(),
                   logs=np.take_along_axis(said, best, -1).tolist())

    def write(self, file: Path) -> None:
        file.write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def open(cls, file: Path) -> Self:
        """What `write` wrote.

        Raises:
            CorruptFile: it cannot be read.
        """
        try:
            return cls.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as problem:
            raise CorruptFile(f"{file} cannot be read.", AGAIN) from problem

    def apart(self, runtime: Runtime) -> float:
        """How far an opened form is from what it said, in nats: all words that were not kept count as one."""
        runtime.forget()
        said = logs(runtime.logits(row_of(self.ids, self.source), PLACES))
        p, q = np.array(self.logs), np.take_along_axis(said, np.array(self.words), -1)
        rest = [np.log(np.clip(1 - np.exp(one).sum(-1), 1e-9, 1)) for one in (p, q)]
        each = (np.exp(p) * (p - q)).sum(-1) + np.exp(rest[0]) * (rest[0] - rest[1])
        return float(each.max())


def bundle_of(model: str) -> Path | None:
    """The bundle that a run folder, a bundle or the model in it belongs to; None for any other model."""
    place = Path(model)
    return next((one for one in (place / "bundle", place, place.parent) if (one / MANIFEST).is_file()), None)


def open_author(model: str, engine: str, progress: Progress) -> tuple[Author, Path]:
    """Open a model that writes; with it the folder that says how it is asked.

    Args:
        model: a run folder, its bundle, a model folder or a card.
        engine: a form in its bundle, or `auto`: the fastest of those that still answer as they were certified, or the
            reference where none is faster.
        progress: is told which form answers, where there are several.

    Raises:
        NotFound: there is no such model. UserError: it has no such form, or does not write.
        MissingExtra, CorruptFile, QualityFloor: the form that was named cannot be used here.
    """
    folder = writer_folder(model, progress)
    bundle = bundle_of(model)
    entries = {one.name: one for one in Manifest.open(bundle).engines} if bundle else {}
    if bundle is None or engine == REFERENCE or (engine == AUTO and len(entries) == 1):
        if engine not in (AUTO, REFERENCE):
            raise UserError(f"{model} is no bundle, so it holds no engine {engine!r}.",
                            "Name a run of seedbed train, or its bundle.")
        return _reference(folder), folder
    if engine != AUTO:
        if engine not in entries:
            raise UserError(f"The bundle {bundle} holds no engine {engine!r}.",
                            f"Known: {', '.join((AUTO, *entries))}. Make one with: seedbed export {bundle}")
        return _proven(bundle, entries[engine], folder), folder
    for entry in sorted((one for one in entries.values() if one.certificate and one.certificate.faster > 1),
                        key=lambda one: -(one.certificate.faster if one.certificate else 1)):
        try:
            author = _proven(bundle, entry, folder)
        except (MissingExtra, CorruptFile, QualityFloor) as problem:
            progress.note(f"{entry.name} is passed over: {problem.message} {problem.hint}")
            continue
        progress.note(f"{entry.name} answers.")
        return author, folder
    progress.note(f"{REFERENCE} answers: no form that can be used here was faster.")
    return _reference(folder), folder


def _reference(folder: Path) -> Author:
    from ..engines.writer import Writer

    return Writer.open(folder)


def _proven(bundle: Path, entry: EngineEntry, model: Path) -> Author:
    """A form, after it said again what it said when it was proven."""
    from .targets.writers import WRITERS

    for file in entry.files:
        file.check(bundle)
    author = WRITERS.get(entry.kind).author(bundle / entry.folder, model)
    off = Trial.open(bundle / entry.folder / TRIAL).apart(author.runtime)
    if not off <= APART:
        raise QualityFloor(f"{entry.name} answers otherwise on this machine than certified: it is off by {off:.3g} "
                           f"nats where {APART} are allowed.", f"Use another: --engine {REFERENCE}")
    return author
