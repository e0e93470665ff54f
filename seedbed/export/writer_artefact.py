"""A form of a model that writes: made beside the bundle's model, proven against it, and only then added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import CorruptFile, QualityFloor, UserError, lacking
from .artefact import commit, first_line
from .beside import beside
from .certificate import Certificate
from .manifest import EngineEntry, Manifest
from .targets import safer
from .targets.writers import WriterTarget
from .writer_certificate import certify
from .writer_engine import TRIAL, Trial
from .writer_reference import Reference


def add(folder: Path, reference: Reference, target: WriterTarget, precision: str,
        tools: dict[str, str]) -> EngineEntry:
    """Export, prove, and add to a bundle; an earlier form of that name is replaced.

    Args:
        folder: the bundle.
        reference: its model.
        tools: versions of what exports.

    Raises:
        QualityFloor: the form cannot be opened, or answers otherwise than the model; the bundle is as it was.
        UserError: the runtime cannot express the model. NoResources: the disk is full.
    """
    manifest, name = Manifest.open(folder), f"{target.name}-{precision}"
    model = folder / manifest.reference.folder
    with beside(folder / name) as part:
        make(part, model, reference, target, precision, facts(manifest))
        certificate = prove(part, model, reference, target, precision)
        if certificate.failed:
            more, better = len(certificate.failed) - 1, safer(target, precision)
            raise QualityFloor(
                f"{name} answers otherwise than the model it was made from. {certificate.failed[0].told}"
                f"{f' (and {more} more)' if more else ''}. It was not added.",
                f"Take a higher precision: --to {target.name}:{better}" if better else
                "This is a defect of the exporter for this family: take another target, or use the bundle itself.")
        return commit(folder, part, name, target.name, certificate, tools)


def make(part: Path, model: Path, reference: Reference, target: WriterTarget, precision: str,
         said: Mapping[str, str]) -> None:
    """Write a form into a new folder; nothing is proven yet.

    Args:
        said: of the bundle, for the files' own metadata.

    Raises:
        UserError: the runtime cannot express the model. NoResources: the disk is full.
    """
    part.mkdir()
    try:
        target.write(model, part, precision, said, reference)
    except Exception as problem:  # an exporter that meets what it does not know says so in many ways
        if isinstance(problem, UserError) or lacking(problem):
            raise
        raise UserError(f"{target.name} cannot express this model: {first_line(problem)}.",
                        "Try another target, or use the bundle itself.") from problem


def prove(part: Path, model: Path, reference: Reference, target: WriterTarget, precision: str, *,
          floor: float | None = None, timed: bool = True) -> Certificate:
    """Open what was written with its own runtime, and compare; what it says of a text is written beside it.

    Args:
        floor, timed: as `writer_certificate.certify` takes them.

    Raises:
        QualityFloor: it cannot be opened.
    """
    try:
        with target.opened(part, model) as form:
            certificate = certify(form, reference, precision, floor=floor, timed=timed)
            if not certificate.failed:
                Trial.of(form.runtime, reference.texts()["medium"]).write(part / TRIAL)
            return certificate
    except CorruptFile as problem:
        raise QualityFloor(f"What was exported cannot be opened. {problem.message}",
                           "This is a defect of the exporter: take another precision or target.") from problem


def facts(manifest: Manifest) -> dict[str, str]:
    """What the files' own metadata say of where they come from."""
    known = {"name": manifest.name, "licence": manifest.licences.get(manifest.base_model or ""),
             "base_model": manifest.base_model, "base_hash": manifest.base_hash, "data_hash": manifest.data_hash,
             "model_hash": manifest.reference.digest}
    return {name: value for name, value in known.items() if value}
