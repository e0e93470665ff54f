"""Bring files to their folder whole or not at all, remember what they are, and find damage.

Files land in `.partial` beside the target and are renamed when all of them are there and their hashes hold, so a
folder under its own name is always whole. `seedbed.json` in it says where the files came from and what they are.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from ..errors import CorruptFile, Interrupted, NoResources, NotFound, Offline, UserError, lacking
from ..progress import SILENT, Progress
from ..records import Record
from ..settings import settings
from .cards import Source
from .sources import SOURCES, sha256

MANIFEST = "seedbed.json"
PACKED = ("pypi", "npm")
"""Kinds of sources that come as one file of many."""
FREE_AFTER = 64 * 1024**2
"""Bytes that a fetch leaves free on the disk."""


class FileRecord(Record):
    size: int
    sha256: str


class Manifest(Record):
    """`seedbed.json`: what the files are and where they came from."""

    format: int = 1
    name: str
    address: str
    revision: str
    stored: str
    fetched: str
    """UTC, ISO 8601."""
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class Parcel:
    """Something to fetch.

    Args:
        name: its id, also the folder's name.
        folder: where it goes.
        sources: where it may come from, the preferred first.
        again: the command, or what to do, to fetch it anew.
        first: the command that fetches it for the first time.
        finish: changes the fetched files before they are counted, for instance unpacks an archive.
    """

    name: str
    folder: Path
    sources: tuple[Source, ...]
    again: str
    first: str
    finish: Callable[[Path], None] | None = None

    @property
    def partial(self) -> Path:
        """Where its files are until they are whole."""
        return self.folder.parent / ".partial" / self.name


def manifest(parcel: Parcel) -> Manifest | None:
    """What is in the parcel's folder; None when nothing is there.

    Raises:
        CorruptFile: the record cannot be read.
        UserError: the folder is there, but Seedbed did not make it.
    """
    path = parcel.folder / MANIFEST
    if not path.is_file():
        if parcel.folder.exists():
            raise UserError(f"{parcel.folder} is there, but has no {MANIFEST}: Seedbed did not fetch it.",
                            f"Move it away, or replace it: {parcel.again}")
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as problem:
        raise CorruptFile(f"{path} cannot be read: {problem.errors()[0]['msg']}.", parcel.again) from problem


def installed(parcel: Parcel) -> Path | None:
    """The folder when every file has its recorded size (cheap: nothing is read); None when it was never fetched.

    Raises:
        CorruptFile: a file is missing or has another size.
    """
    known = manifest(parcel)
    if known is None:
        return None
    for name, record in known.files.items():
        path = parcel.folder / name
        if not path.is_file():
            raise CorruptFile(f"{path} is missing.", parcel.again)
        if path.stat().st_size != record.size:
            raise CorruptFile(f"{path} has {path.stat().st_size} bytes, not {record.size}.", parcel.again)
    return parcel.folder


def verified(parcel: Parcel, progress: Progress = SILENT) -> Path | None:
    """Like `installed`, but reads every file and compares its SHA-256."""
    folder, known = installed(parcel), manifest(parcel)
    if folder is None or known is None:
        return None
    work = f"verify {parcel.name}"
    progress.start(work, sum(r.size for r in known.files.values()), "bytes")
    for name, record in known.files.items():
        if sha256(folder / name) != record.sha256:
            raise CorruptFile(f"{folder / name} is damaged: its SHA-256 is not the recorded one.", parcel.again)
        progress.advance(work, record.size)
    progress.done(work)
    return folder


def install(parcel: Parcel, progress: Progress = SILENT, *, force: bool = False) -> Path:
    """Fetch the parcel unless it is there; its folder.

    A second process waits for the first. Sources are tried in order; the first that can be reached is used.

    Raises:
        CorruptFile: what is there, or what arrives, is damaged.
        Offline: it is not there, and no source can be reached or fetching is off.
        NoResources: the disk is too small; nothing half-written stays.
        Interrupted: Ctrl-C; the same command goes on.
    """
    if not force and (found := installed(parcel)):
        return found
    with _in_words(parcel), _locked(parcel, progress):
        if not force and (found := installed(parcel)):
            return found
        try:
            return _from_any(parcel, progress)
        except (NoResources, OSError) as problem:
            if isinstance(problem, NoResources) or lacking(problem):
                shutil.rmtree(parcel.partial, ignore_errors=True)  # under the lock: it is the next one's folder too
            raise


def _from_any(parcel: Parcel, progress: Progress) -> Path:
    if not parcel.sources:
        raise NotFound(f"{parcel.name} has no source to fetch from.", f"See how to get it: {parcel.first}")
    sources = [s for s in parcel.sources if not (settings().offline and SOURCES.get(s.kind).remote)]
    if not sources:
        raise Offline(f"{parcel.name} is not on this machine, and fetching is off.",
                      f"Unset SEEDBED_OFFLINE and run: {parcel.first}")
    missed: list[UserError] = []
    for source in sources:
        try:
            return _from(parcel, source, progress)
        except (Offline, NotFound) as problem:
            missed.append(problem)
            if source is not sources[-1]:
                progress.note(f"{problem.message} Trying the next source.")
    if not any(isinstance(problem, Offline) for problem in missed):
        raise missed[-1]
    raise Offline(f"{parcel.name} could not be fetched: {' '.join(p.message for p in missed)}",
                  f"When the connection is back, run: {parcel.first}")


def _from(parcel: Parcel, source: Source, progress: Progress) -> Path:
    partial = parcel.partial / hashlib.sha256(source.address.encode()).hexdigest()[:12]
    files, work = partial / "files", partial / "work"
    for folder in (files, work):
        folder.mkdir(parents=True, exist_ok=True)
    (files / MANIFEST).unlink(missing_ok=True)  # of a process that was killed on the last step
    _room(parcel, source, partial)
    revision = SOURCES.get(source.kind).fetch(source, files, work, progress)
    records = _records(files)
    try:
        check(source, records)
    except CorruptFile:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if parcel.finish:
        parcel.finish(files)
        records = _records(files)
    known = Manifest(name=parcel.name, address=source.address, revision=revision, stored=source.stored,
                     fetched=datetime.now(UTC).isoformat(timespec="seconds"), files=records)
    (files / MANIFEST).write_text(known.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if parcel.folder.exists():
        old = parcel.partial / "old"
        shutil.rmtree(old, ignore_errors=True)
        parcel.folder.rename(old)
    files.rename(parcel.folder)
    shutil.rmtree(parcel.partial, ignore_errors=True)
    return parcel.folder


def _records(files: Path) -> dict[str, FileRecord]:
    return {path.relative_to(files).as_posix(): FileRecord(size=path.stat().st_size, sha256=sha256(path))
            for path in sorted(files.rglob("*")) if path.is_file()}


def check(source: Source, records: dict[str, FileRecord]) -> None:
    """Hold the files against the hashes that the card states.

    Raises:
        CorruptFile: a file is missing or differs, or came out of a package and is not in the card.
    """
    for name, wanted in source.sha256.items():
        if name not in records:
            raise CorruptFile(f"{source.address} did not bring {name}.", "Tell the author of the model card.")
        if records[name].sha256 != wanted:
            raise CorruptFile(f"{name} from {source.address} does not have the SHA-256 that the card states.",
                              "Fetch it again; if that gives the same, somebody changed the file: do not use it.")
    unknown = [name for name in records if name not in source.sha256]
    if source.kind in PACKED and unknown:
        raise CorruptFile(f"{source.address} brought {unknown[0]}, which the card has no hash for.",
                          "Add its SHA-256 to the card: a package is only used when every file is known.")


def _room(parcel: Parcel, source: Source, partial: Path) -> None:
    """Refuse before the first byte when the disk is too small. A package is there twice: packed and unpacked."""
    if source.size is None:
        return
    there = sum(p.stat().st_size for p in partial.rglob("*") if p.is_file())
    need = source.size * (2 if source.kind in PACKED else 1) + FREE_AFTER - there
    free = shutil.disk_usage(partial).free
    if need > free:
        raise NoResources(f"{parcel.name} needs {need / 1e6:,.0f} MB on the disk of {parcel.folder.parent}, "
                          f"where {free / 1e6:,.0f} MB are free.",
                          "Free some space, or set SEEDBED_MODELS to a folder on another disk.")


@contextmanager
def _locked(parcel: Parcel, progress: Progress) -> Iterator[None]:
    """One process at a time. The system frees the lock of a process that was killed."""
    from filelock import FileLock, Timeout

    locks = parcel.folder.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{parcel.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.note(f"Another process is fetching {parcel.name}; waiting for it.")
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _in_words(parcel: Parcel) -> Iterator[None]:
    """Turn what the system says while files are written into words for the user."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(f"Fetching {parcel.name} was stopped; what arrived is kept.",
                          f"Go on with: {parcel.first}") from stop
    except OSError as problem:
        if lacking(problem):
            raise NoResources(f"The disk became full while {parcel.name} was written; nothing half-written was kept.",
                              "Free some space, or set SEEDBED_MODELS to a folder on another disk.") from problem
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise UserError(f"{problem.filename or parcel.folder.parent} cannot be written: {problem.strerror}.",
                            "Set SEEDBED_HOME or SEEDBED_MODELS to a folder that you may write.") from problem
        raise
