"""An artefact of a model that reads: written beside the bundle's model, proven against it, and only then added."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..engines.base import load_classifier
from ..errors import CorruptFile, QualityFloor, UserError, lacking
from ..evaluate.result import Speed
from ..evaluate.speed import measure_speed
from .beside import beside
from .bundle import Bundle
from .certificate import Certificate, Held, certify
from .engine import reference
from .manifest import BundleFile, EngineEntry, Manifest, files_of
from .probes import FILE, MEDIUM, Probes
from .probes import make as make_probes

if TYPE_CHECKING:
    from ..engines.base import Reader
    from .targets import Target

SPEED_SECONDS, SPEED_TEXTS = 2.0, 200


@dataclass(frozen=True)
class Source:
    """What is exported, and what proves an artefact of it. Each part is made once, at its first use.

    Args:
        bundle: opened with its reference.
        held: rows that the model has not learned from; None without them.
        seed: of the probe texts.
    """

    bundle: Bundle
    held: Held | None
    seed: int = 0

    def model(self) -> Reader:
        """The reference in fp32, opened anew: a target may change it."""
        return reference(self.bundle.folder, self.bundle.manifest.reference, exactly=True)

    @cached_property
    def reference(self) -> Reader:
        return self.model()

    @cached_property
    def probes(self) -> Probes:
        """Those of the bundle, which earlier artefacts were certified with, or new ones."""
        stored = self.bundle.manifest.probes
        return Probes.open(self.bundle.folder / stored.path) if stored else make_probes(self.reference, self.seed)

    @cached_property
    def answered(self) -> Held | None:
        """The held-out rows with the reference's answers."""
        ask = self.bundle.yard.ask
        return replace(self.held, answers=ask(self.reference, self.held.texts)) if self.held else None

    @cached_property
    def texts(self) -> list[str]:
        """That speed is measured with."""
        return list(self.held.texts[:SPEED_TEXTS]) if self.held else [
            self.probes.texts[i] for i in self.probes.of(MEDIUM)]

    @cached_property
    def speed(self) -> Speed:
        """Of the reference, as this machine would run it."""
        return measure_speed(partial(self.bundle.yard.ask, self.bundle.model), self.texts, seconds=SPEED_SECONDS)


def add(source: Source, target: Target, precision: str, tools: dict[str, str]) -> EngineEntry:
    """Export, prove, and add to the bundle; an earlier artefact of that name is replaced.

    Args:
        tools: versions of what exports.

    Raises:
        QualityFloor: the artefact cannot be opened, or answers otherwise than the model; the bundle is as it was.
        UserError: the runtime cannot express the model. NoResources: the disk is full.
    """
    folder, name = source.bundle.folder, f"{target.name}-{precision}"
    with beside(folder / name) as part:
        make(source, target, precision, part)
        certificate = prove(source, part, precision)
        if certificate.failed:
            more = len(certificate.failed) - 1
            raise QualityFloor(
                f"{name} answers otherwise than the model it was made from. {certificate.failed[0].told}"
                f"{f' (and {more} more)' if more else ''}. It was not added.", _hint(certificate, precision))
        return commit(folder, part, name, target.name, certificate, tools, source.probes)


def make(source: Source, target: Target, precision: str, part: Path) -> None:
    """Write an artefact into a new folder; nothing is proven yet.

    Raises:
        UserError: the runtime cannot express the model. NoResources: the disk is full.
    """
    part.mkdir()
    try:
        target.write(source.model(), part, precision)
    except Exception as problem:  # an exporter that meets what it does not know says so in many ways
        if isinstance(problem, UserError) or lacking(problem):
            raise
        raise UserError(f"{target.name} cannot express this model: {first_line(problem)}.",
                        "Try another target, or use the bundle itself.") from problem


def prove(source: Source, part: Path, precision: str, *, timed: bool = True) -> Certificate:
    """Open what was written with its own runtime, and compare.

    Args:
        timed: measure the speed of both, where it passes.

    Raises:
        QualityFloor: it cannot be opened.
    """
    from ..engines.exported import Exported

    try:
        artefact = load_classifier(part)
    except CorruptFile as problem:
        raise QualityFloor(f"What was exported cannot be opened. {problem.message}",
                           "This is a defect of the exporter: take another precision or target.") from problem
    assert isinstance(artefact, Exported)
    yard = source.bundle.yard
    certificate = certify(artefact, source.probes, yard, precision, source.answered)
    if certificate.failed or not timed:
        return certificate
    speed = measure_speed(partial(yard.ask, artefact), source.texts, seconds=SPEED_SECONDS)
    return certificate.model_copy(update={"speed": speed, "reference_speed": source.speed})


def commit(folder: Path, part: Path, name: str, kind: str, certificate: Certificate, tools: dict[str, str],
           probes: Probes | None = None) -> EngineEntry:
    """Give a form that was proven its name in a bundle, and write the manifest, which is read again: another export
    may have added to it.

    Args:
        folder: the bundle.
        part: what was written.
        probes: texts that prove it anywhere, where the bundle has none yet.
    """
    manifest = Manifest.open(folder)
    stored = manifest.probes
    if stored is None and probes is not None:
        probes.write(folder / FILE)
        stored = BundleFile.of(folder / FILE, folder)
    old = part.with_suffix(".old")
    try:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).rename(old)
        part.rename(folder / name)
        entry = EngineEntry(name=name, kind=kind, folder=name, files=files_of(folder, name), certificate=certificate,
                            made_from=manifest.reference.digest, tools=tools)
        engines = [one for one in manifest.engines if one.name != name]
        manifest.model_copy(update={"engines": [*engines, entry], "probes": stored}).write(folder)
    finally:
        shutil.rmtree(old, ignore_errors=True)
    return entry


def _hint(certificate: Certificate, precision: str) -> str:
    loss = certificate.loss
    if loss is not None and [check.name for check in certificate.failed] == [certificate.checks[-1].name]:
        from ..evaluate.floor import provable

        least = provable(loss.n, loss.confidence)
        if least > loss.floor:
            return (f"{loss.n} held-out {loss.of} can prove no less than {least:.3f}, however good it is: give more "
                    f"to judge by, or accept that with --floor {least + 0.0005:.3f}")
        return "Take a higher precision, or accept the loss with a larger --floor."
    better = {"int4": "int8", "int8": "fp32", "bf16": "fp32"}.get(precision)
    return f"Take a higher precision: {better}." if better else \
        "This is a defect of the exporter for this family: take another target, or use the bundle itself."


def first_line(problem: BaseException) -> str:
    """The first line of an error's words."""
    return next((line for line in str(problem).splitlines() if line.strip()), type(problem).__name__).strip()[:300]

