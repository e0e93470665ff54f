"""`seedbed verify RUN --anew`: each step from the data to an artefact is made once more, and compared."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import CorruptFile, MissingExtra, NotFound, UserError
from ..export.manifest import EngineEntry, Manifest, sha256
from ..progress import SILENT, Progress
from ..records import Record
from .config import RunFolder, TuneConfig, read_config
from .exporting import bundle_of

if TYPE_CHECKING:
    from ..catalog.cards import Card

WEIGHTS = "*.safetensors"


class Link(Record):
    """One step of the chain."""

    name: str
    """`data`, `base`, `adapter`, `reference`, or an artefact's."""
    made: Literal["same", "near", "differs", "not made"]
    """`near`: other bytes, as a step gives that is not the same each time; what it answers is the certificate's."""
    said: str


def derive(source: str | Path, *, progress: Progress = SILENT) -> list[Link]:
    """Make again what can be made again: hashes of data, base and adapter; base and adapter merged; each artefact.

    What was learned is not learned again.

    Args:
        source: a run folder, or its bundle where it lies in its run.

    Raises:
        NotFound: no bundle there.
    """
    folder = bundle_of(Path(source))
    manifest, work = Manifest.open(folder), "make anew"
    progress.start(work, 3 + len(manifest.engines), "steps")
    links = list[Link]()
    for link in _chain(folder, manifest):
        links.append(link)
        progress.advance(work)
    progress.done(work)
    return links


def _chain(folder: Path, manifest: Manifest) -> Iterator[Link]:
    run = RunFolder(folder.parent)
    yield _data(run, manifest)
    card = card_of(run, manifest)
    base = base_link(card, manifest)
    yield base
    if manifest.adapter_hash:
        adapter = adapter_link(run, manifest)
        yield adapter
        can = card is not None and base.made == adapter.made == "same"
        yield _merged(run, folder, manifest, card) if can and card else Link(
            name=manifest.reference.name, made="not made", said="base or adapter are not what it was made from")
    else:
        yield Link(name=manifest.reference.name, made="not made", said="it was learned, and learning is not repeated")
    with tempfile.TemporaryDirectory() as place:
        for entry in manifest.engines[1:]:
            yield _artefact(folder, manifest, entry, Path(place) / entry.name)


def _data(run: RunFolder, manifest: Manifest) -> Link:
    from ..data.freeze import open_splits

    try:
        found = open_splits(run.path).hash
    except NotFound as problem:
        return Link(name="data", made="not made", said=problem.message)
    except CorruptFile as problem:
        return Link(name="data", made="differs", said=problem.message)
    return _equal("data", found, manifest.data_hash, "the frozen rows")


def card_of(run: RunFolder, manifest: Manifest) -> Card | None:
    """The model that the run began from; None where none is known here any more."""
    from ..catalog.cards import card
    from ..train.config import TextConfig

    name = manifest.base_model
    with contextlib.suppress(NotFound, CorruptFile, UserError):
        name = read_config(run, TuneConfig, TextConfig)[1].model  # a user's folder, by its path
    with contextlib.suppress(NotFound, UserError):
        return card(name) if name else None
    return None


def base_link(card: Card | None, manifest: Manifest) -> Link:
    from ..catalog.fetch import base_hash, verify

    if not manifest.base_hash:
        return Link(name="base", made="not made", said="the bundle names no hash of a base model")
    try:
        if card is not None:
            verify(card)
        found = base_hash(card) if card is not None else None
    except CorruptFile as problem:
        return Link(name="base", made="differs", said=problem.message)
    if found is None:
        return Link(name="base", made="not made", said=f"{manifest.base_model} is not on this machine")
    return _equal("base", found, manifest.base_hash, f"the files of {manifest.base_model}")


def adapter_link(run: RunFolder, manifest: Manifest) -> Link:
    weights = run.adapter / "adapter_model.safetensors"
    if not weights.is_file():
        return Link(name="adapter", made="not made", said=f"{weights} is not there")
    return _equal("adapter", sha256(weights), str(manifest.adapter_hash), "the trained adapter")


def _equal(name: str, found: str, said: str, what: str) -> Link:
    same = found == said
    return Link(name=name, made="same" if same else "differs",
                said=f"{what}: {found[:12]}{'' if same else f', and {said[:12]} in the bundle'}")


def _merged(run: RunFolder, folder: Path, manifest: Manifest, card: Card) -> Link:
    """Base and adapter, merged as after training; the weights are compared to the last digit."""
    import torch
    from safetensors.torch import load_file

    from ..catalog.fetch import pull
    from ..models.adapters import load_lora, merge
    from ..models.backbone import Backbone
    from ..models.runtime import give_back_memory
    from ..train.config import TextConfig

    name, model = manifest.reference.name, folder / manifest.reference.folder
    method = read_config(run, TuneConfig, TextConfig)[1].method
    saved = dict(pair for file in sorted(model.glob(WEIGHTS)) for pair in load_file(file).items())
    dtype = next(iter(saved.values())).dtype
    backbone = Backbone.open(pull(card), dtype=dtype, vocabulary=True, nf4=method == "qlora")
    merge(backbone, load_lora(backbone, run.adapter))
    with tempfile.TemporaryDirectory() as place:
        backbone.save(Path(place))
        del backbone
        give_back_memory()
        made = dict(pair for file in sorted(Path(place).glob(WEIGHTS)) for pair in load_file(file).items())
    if made.keys() != saved.keys():
        return Link(name=name, made="differs", said="base and adapter, merged, have other weights than the bundle")
    off = max(float((made[key].float() - saved[key].float()).abs().max()) for key in saved)
    equal = sum(torch.equal(made[key], saved[key]) for key in saved)
    near = off <= 2 ** -6 * max(float(one.float().abs().max()) for one in saved.values()) * torch.finfo(dtype).eps
    return Link(name=name, made="same" if equal == len(saved) else "near" if near else "differs",
                said=f"base and adapter merged: {equal} of {len(saved)} weights the same to the last digit"
                     f"{'' if equal == len(saved) else f', off by {off:.2g} at most'}")


def _artefact(folder: Path, manifest: Manifest, entry: EngineEntry, part: Path) -> Link:
    """An artefact, written once more by its target; its files are compared byte by byte."""
    try:
        versions = _write(folder, manifest, entry, part)
    except (MissingExtra, UserError) as problem:
        return Link(name=entry.name, made="not made", said=problem.message)
    stored = {str(Path(file.path).relative_to(entry.folder)): file.sha256 for file in entry.files}
    made = {str(file.relative_to(part)): sha256(file) for file in sorted(part.rglob("*")) if file.is_file()}
    other = [name for name in made if made[name] != stored.get(name)]
    shutil.rmtree(part)
    older = [f"{name} {entry.tools[name]}, and {now} here" for name, now in versions.items()
             if entry.tools.get(name, now) != now]
    if not other:
        return Link(name=entry.name, made="same", said=f"{len(made)} files, byte by byte")
    why = f"; it was made with {', '.join(older)}" if older else ""
    return Link(name=entry.name, made="near", said=f"other bytes in {', '.join(other[:3])}{why}")


def _write(folder: Path, manifest: Manifest, entry: EngineEntry, part: Path) -> dict[str, str]:
    """Write an artefact as `seedbed export` does; versions of what it was written with."""
    from ..export.targets import need

    assert entry.certificate is not None
    precision = entry.certificate.precision
    if manifest.reference.kind == "writer":
        from ..export.targets.writers import WRITERS, suited
        from ..export.writer_artefact import facts, make
        from ..export.writer_reference import Reference
        from .apart import parts_for
        from .writer_exporting import ROWS, run_rows

        model = folder / manifest.reference.folder
        target = suited(WRITERS.get(entry.kind), model)
        versions, rows = need(target), run_rows(folder, manifest, ROWS, 0)
        with parts_for([target], folder, manifest) as parts:
            reference = Reference.open(model, rows.held, rows.learned, rows.unit, apart=parts)
            make(part, model, reference, target, precision, facts(manifest))
        return versions
    from ..export.artefact import Source
    from ..export.artefact import make as make_form
    from ..export.bundle import open_bundle
    from ..export.manifest import REFERENCE
    from ..export.targets import TARGETS

    form = TARGETS.get(entry.kind)
    versions = need(form)
    make_form(Source(open_bundle(folder, engine=REFERENCE), None), form, precision, part)
    return versions
