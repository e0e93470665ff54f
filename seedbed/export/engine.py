"""Which form of the model answers: the fastest that is proven, on this machine, now."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..engines.base import Classifier, load_classifier
from ..errors import CorruptFile, MissingExtra, QualityFloor, UserError
from ..progress import Progress
from ..tasks.classify import Classify
from .certificate import LIMITS
from .manifest import REFERENCE, EngineEntry, Manifest
from .probes import KINDS, Probes

AUTO = "auto"
TRIED = 2
"""Probe texts of each kind that an engine answers before it is used."""


def choose(folder: Path, manifest: Manifest, task: Classify, engine: str,
           progress: Progress) -> tuple[str, Classifier]:
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
        return engine, _proven(folder, manifest, task, entries[engine])
    for entry in sorted((one for one in manifest.engines if one.certificate or one.name == REFERENCE),
                        key=lambda one: -(one.certificate.faster if one.certificate else 1.0)):
        if entry.name == REFERENCE:
            return entry.name, load_classifier(folder / entry.folder)
        try:
            model = _proven(folder, manifest, task, entry)
        except (MissingExtra, CorruptFile, QualityFloor) as problem:
            progress.note(f"{entry.name} is passed over: {problem.message} {problem.hint}")
            continue
        progress.note(f"{entry.name} answers.")
        return entry.name, model
    raise AssertionError("a bundle without its reference")


def _proven(folder: Path, manifest: Manifest, task: Classify, entry: EngineEntry) -> Classifier:
    """The model, after it answered some probe texts as the reference did when it was exported.

    Processors differ, and so do versions of a runtime: openvino#38256 is a wrong product of matrices on some.
    """
    model = load_classifier(folder / entry.folder)
    if entry.certificate is None or manifest.probes is None:
        return model
    probes = Probes.open(folder / manifest.probes.path)
    places = [i for kind in KINDS for i in probes.of(kind)[:TRIED]]
    try:
        said = model.logits([probes.texts[i] for i in places])
    except UserError:
        raise
    except Exception as problem:  # whatever a runtime says that cannot run the file here
        raise QualityFloor(f"{entry.name} does not run on this machine: {str(problem).strip().splitlines()[0]}.",
                           f"Use another: --engine {REFERENCE}") from problem
    truth = task.probabilities(probes.scores[places], manifest.temperature)
    off = float(np.abs(task.probabilities(said, manifest.temperature) - truth).max())
    limit = LIMITS[entry.certificate.precision].probability
    if not off <= limit:
        raise QualityFloor(
            f"{entry.name} answers otherwise on this machine than certified: a probability is off by {off:.3g} where "
            f"{limit:.3g} is allowed.", f"Use another: --engine {REFERENCE}")
    return model
