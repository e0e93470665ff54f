"""`seedbed verify`: does a bundle still hold what it says, and does every form of its model answer as certified?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import CorruptFile, MissingExtra
from ..progress import SILENT, Progress
from ..records import Record
from .certificate import Check, examine
from .engine import opened
from .manifest import MANIFEST, EngineEntry, Manifest
from .probes import Probes, answer
from .yardstick import READS, yardstick


class Verified(Record):
    """One form of the model."""

    name: str
    kind: str
    digest: str
    """Of its files, as the manifest names them."""
    made_from: str | None
    """Digest of the form that it was exported from."""
    files: int
    checks: list[Check]
    """What was found when it answered the probe texts here, now; empty where it could not be asked."""
    damage: str = ""
    """What is wrong with its files, or with the chain that it hangs in."""
    note: str = ""
    """Why it was not asked, where that is no fault of the bundle."""

    @property
    def failed(self) -> str:
        """What is wrong first; empty when nothing is."""
        return self.damage or next((check.told for check in self.checks if not check.passed), "")


class Verification(Record):
    """A bundle, from its data to its artefacts."""

    name: str
    data_hash: str
    """Of the frozen splits that it was trained on."""
    base_model: str | None
    base_hash: str | None
    engines: list[Verified]
    damage: str = ""
    """Of the stored probe texts."""

    @property
    def failed(self) -> str:
        """What is wrong first; empty when nothing is."""
        broken = [f"{one.name}: {one.failed}" for one in self.engines if one.failed]
        return self.damage or next(iter(broken), "")


def verify(folder: str | Path, *, progress: Progress = SILENT) -> Verification:
    """Check the hash of every file, and let every form of the model answer the stored probe texts again.

    Args:
        folder: a bundle, on any machine.

    Raises:
        NotFound, CorruptFile: no bundle, or a manifest that cannot be read. What else is wrong is in the result.
    """
    folder = Path(folder)
    manifest, probes, damage = Manifest.open(folder), None, ""
    if manifest.probes:
        try:
            manifest.probes.check(folder, whole=True)
            probes = Probes.open(folder / manifest.probes.path)
        except CorruptFile as problem:
            damage = problem.message
    work, engines = "verify", []
    progress.start(work, len(manifest.engines), "engines")
    for entry in manifest.engines:
        engines.append(_engine(folder, manifest, entry, probes))
        progress.advance(work)
    progress.done(work)
    return Verification(name=manifest.name, data_hash=manifest.data_hash, base_model=manifest.base_model,
                        base_hash=manifest.base_hash, engines=engines, damage=damage)


def _engine(folder: Path, manifest: Manifest, entry: EngineEntry, probes: Probes | None) -> Verified:
    checks, note = list[Check](), ""
    damage = _damage(folder, manifest, entry)
    writes = manifest.reference.kind == "writer"
    if not damage and writes and entry is manifest.reference:
        note = "the exported forms are held against it" if len(manifest.engines) > 1 else "nothing was exported yet"
    elif not damage and probes is None and not writes:
        note = "no stored answers: nothing was exported yet"
    elif not damage:
        try:
            checks = _write(folder, manifest, entry) if probes is None else KINDS[str(manifest.task["task"])](
                folder, manifest, entry, probes)
        except MissingExtra as problem:
            note = f"not run here. {problem.hint}"
        except CorruptFile as problem:
            damage = problem.message
    return Verified(name=entry.name, kind=entry.kind, digest=entry.digest, made_from=entry.made_from,
                    files=len(entry.files), checks=checks, damage=damage, note=note)


def _damage(folder: Path, manifest: Manifest, entry: EngineEntry) -> str:
    """What is wrong with the files of an engine; files that no manifest knows are not looked at."""
    try:
        for file in entry.files:
            file.check(folder, whole=True)
    except CorruptFile as problem:
        return problem.message
    if entry.made_from and entry.made_from != manifest.reference.digest:
        return f"it was made from another model than the one in {MANIFEST}"
    return ""


def _read(folder: Path, manifest: Manifest, entry: EngineEntry, probes: Probes) -> list[Check]:
    """A form that reads against the stored answers; the reference against its own: another processor may round
    otherwise, and no more."""
    from ..engines.exported import Exported

    yard, model = yardstick(manifest), opened(folder, entry)
    if isinstance(model, Exported) and entry.certificate:
        return examine(model, probes, yard, entry.certificate.precision)
    pairs = zip(model.backbone.tokens(probes.texts), probes.answers, strict=True)
    found = yard.worst([yard.apart(yard.values(answer(model, ids)), yard.values(truth)) for ids, truth in pairs])
    return [Check(name=f"{yard.figure}, all texts", n=len(probes.texts), found=found, limit=yard.same,
                  least=yard.least)]


def _write(folder: Path, manifest: Manifest, entry: EngineEntry) -> list[Check]:
    """A form that writes against the bundle's own reference, and against what it said where it was exported."""
    from .targets.writers import WRITERS
    from .writer_certificate import certify
    from .writer_engine import APART, TRIAL, Trial
    from .writer_reference import Reference

    assert entry.certificate is not None
    model, inside = folder / manifest.reference.folder, folder / entry.folder
    with WRITERS.get(entry.kind).opened(inside, model) as form:
        off = Trial.open(inside / TRIAL).apart(form.runtime)
        checks = certify(form, Reference.open(model), entry.certificate.precision).checks
    return [*checks, Check(name="divergence from itself where it was exported", n=1, found=off, limit=APART)]


KINDS: dict[str, Callable[[Path, Manifest, EngineEntry, Probes], list[Check]]] = dict.fromkeys(READS, _read)
"""How a form of a model is asked again, by the bundle's kind of task."""
