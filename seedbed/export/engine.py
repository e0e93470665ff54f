"""Which form of the model answers: the fastest that is proven, on this machine, now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..engines.base import Reader, load_classifier
from ..engines.exported import Exported
from ..errors import CorruptFile, MissingExtra, QualityFloor, UserError
from ..progress import Progress
from .certificate import LIMITS
from .manifest import REFERENCE, EngineEntry, Manifest
from .probes import KINDS, Probes
from .yardstick import Yardstick

AUTO = "auto"
TRIED = 2
"""Probe texts of each kind that an engine answers before it is used."""


def _transformer() -> Any:
    from ..engines.transformer import TransformerHead
    return TransformerHead


def _embedder() -> Any:
    from ..engines.embedder import Embedder
    return Embedder


def _tagger() -> Any:
    from ..engines.tagger import Tagger
    return Tagger


REFERENCES: dict[str, Callable[[], Any]] = {"transformer": _transformer, "embedder": _embedder, "tagger": _tagger}
"""Kinds of references that are transformers, and so can be exported."""


def reference(folder: Path, entry: EngineEntry, *, exactly: bool = False) -> Reader:
    """Open a bundle's reference, of a kind in `REFERENCES`.

    Args:
        exactly: in fp32, whatever this machine would choose.

    Raises:
        NotFound, CorruptFile: a file is missing or cannot be read.
    """
    model: Reader = REFERENCES[entry.kind]().load(folder / entry.folder, exactly=exactly)
    return model


def opened(folder: Path, entry: EngineEntry) -> Any:
    """Open any form of a bundle's model, whatever it gives.

    Raises:
        MissingExtra, NotFound, CorruptFile: its runtime or one of its files is missing, or cannot be read.
    """
    return reference(folder, entry) if entry.kind in REFERENCES else load_classifier(folder / entry.folder)


def choose(folder: Path, manifest: Manifest, yard: Yardstick, engine: str, progress: Progress) -> tuple[str, Any]:
    """Load a form of the model and let it prove itself.

    Args:
        engine: a name in the manifest, or `auto`: those with a certificate, the fastest first, and the reference.

    Returns:
        Its name, and the model.

    Raises:
        MissingExtra, CorruptFile, QualityFloor: the form that was named cannot be used here.
    """
    entries = {one.name: one for one in manifest.engines}
    if engine != AUTO:
        return engine, _proven(folder, manifest, yard, entries[engine])
    for entry in sorted((one for one in manifest.engines if one.certificate or one.name == REFERENCE),
                        key=lambda one: -(one.certificate.faster if one.certificate else 1.0)):
        if entry.name == REFERENCE:
            return entry.name, opened(folder, entry)
        try:
            model = _proven(folder, manifest, yard, entry)
        except (MissingExtra, CorruptFile, QualityFloor) as problem:
            progress.note(f"{entry.name} is passed over: {problem.message} {problem.hint}")
            continue
        progress.note(f"{entry.name} answers.")
        return entry.name, model
    raise AssertionError("a bundle without its reference")


def _proven(folder: Path, manifest: Manifest, yard: Yardstick, entry: EngineEntry) -> Any:
    """The model, after it answered some probe texts as the reference did when it was exported.

    Processors differ, and so do versions of a runtime: openvino#38256 is a wrong product of matrices on some.
    """
    model = opened(folder, entry)
    if entry.certificate is None or manifest.probes is None or not isinstance(model, Exported):
        return model
    probes = Probes.open(folder / manifest.probes.path)
    places = [i for kind in KINDS for i in probes.of(kind)[:TRIED]]
    try:
        said = [model.each([row])[0] for row in model.tokens([probes.texts[i] for i in places])]
    except UserError:
        raise
    except Exception as problem:  # whatever a runtime says that cannot run the file here
        raise QualityFloor(f"{entry.name} does not run on this machine: {str(problem).strip().splitlines()[0]}.",
                           f"Use another: --engine {REFERENCE}") from problem
    found = yard.worst([yard.apart(yard.values(mine), yard.values(probes.answers[i]))
                        for mine, i in zip(said, places, strict=True)])
    limit = yard.limit(LIMITS[entry.certificate.precision])
    if not yard.fits(found, limit):
        raise QualityFloor(
            f"{entry.name} answers otherwise on this machine than certified: {yard.told(found, limit)}.",
            f"Use another: --engine {REFERENCE}")
    return model
