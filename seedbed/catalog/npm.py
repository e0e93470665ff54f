"""Files inside a package of the npm registry: `npm:NAME==VERSION!path/in/package`.

The package is found by npm itself, so that the user's own registry, proxy and certificates apply. Nothing of it is
installed or run: files are unpacked, and each is held against its hash.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path

from ..errors import CorruptFile, DataError, NoResources, NotFound, Offline, UserError
from ..progress import Progress
from .cards import Source
from .sources import CHUNK, inside

ADDRESS = re.compile(r"(?P<name>(?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*)==(?P<version>\d[A-Za-z0-9.+-]*)!"
                     r"(?P<path>.+)")
FAILURES: tuple[tuple[tuple[str, ...], type[UserError], str, str], ...] = (
    (("enospc", "edquot"), NoResources, "The disk became full while {wanted} was downloaded.",
     "Free some space and try again."),
    (("eintegrity",), CorruptFile, "npm refused {wanted}: its hash is not the one that the registry states.",
     "Try again."),
    (("e404", "etarget", "enoversions"), NotFound, "The npm registry has no package {wanted}.",
     "Check the registry that npm uses (npm config get registry)."),
    (("enotfound", "eai_again", "econnrefused", "econnreset", "etimedout", "enetunreach", "ehostunreach",
      "err_socket_timeout", "enotcached", "request to"), Offline, "The npm registry cannot be reached for {wanted}.",
     "Check the connection and npm's settings (npm config list)."))
"""What npm says, in lower case, and what it means; the first that fits is told."""


class Npm:
    """One path inside a package: a file, or a folder when it ends in `/`. Of a folder only those files are unpacked
    whose hashes the source states: packages hold many builds of the same."""

    remote = True

    def fetch(self, source: Source, files: Path, work: Path, progress: Progress) -> str:
        found = ADDRESS.fullmatch(source.place)
        if not found:
            raise DataError(f"{source.address} is not an address in a package of npm.",
                            "Write it as npm:NAME==VERSION!path/in/package.")
        packages = work / "package"
        shutil.rmtree(packages, ignore_errors=True)
        packages.mkdir()
        package = self._download(f"{found['name']}@{found['version']}", source.size, packages, progress)
        shutil.rmtree(files)
        files.mkdir()
        try:
            self._unpack(package, found["path"], set(source.sha256), files)
        except (tarfile.TarError, zlib.error, EOFError) as problem:
            raise CorruptFile(f"The package {package.name} is damaged: {problem}.", "Fetch it again.") from problem
        return found["version"]

    def _download(self, wanted: str, size: int | None, into: Path, progress: Progress) -> Path:
        npm = shutil.which("npm")
        if npm is None:
            raise UserError(f"{wanted} cannot be fetched: npm is not installed.",
                            "Install Node.js, which brings npm; it only downloads, nothing of the package is run.")
        command = [npm, "pack", wanted, "--ignore-scripts", "--pack-destination", str(into), "--loglevel", "error",
                   "--no-progress", "--no-update-notifier", "--fetch-retry-mintimeout", "1000",
                   "--fetch-retry-maxtimeout", "5000"]
        name = f"download {wanted}"
        progress.start(name, size, "bytes")
        done = subprocess.run(command, cwd=into, capture_output=True, encoding="utf-8", errors="replace")
        package = next(into.glob("*.tgz"), None)
        if package is not None:
            progress.advance(name, size or package.stat().st_size)
        progress.done(name)
        if done.returncode or package is None:
            raise _failure(wanted, done.stderr)
        return package

    def _unpack(self, package: Path, path: str, known: set[str], files: Path) -> None:
        folder = path.endswith("/")
        start = path if folder else path[: path.rfind("/") + 1]
        found = 0
        with tarfile.open(package, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix(start)
                if not (member.isfile() and member.name.startswith(start)) or \
                        (name not in known if folder else member.name != path):
                    continue
                content = archive.extractfile(member)
                assert content is not None
                target = inside(files, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with content as reader, target.open("wb") as writer:
                    shutil.copyfileobj(reader, writer, CHUNK)
                found += 1
        if not found:
            raise NotFound(f"The package {package.name} holds no {path}.", "Mend the address.")


def _failure(wanted: str, told: str) -> UserError:
    """npm's words as one of our errors. They may hold addresses of a private registry, so they are not passed on."""
    for signs, kind, message, hint in FAILURES:
        if any(sign in told.lower() for sign in signs):
            return kind(message.format(wanted=wanted), hint)
    lines = [line for line in told.splitlines() if line.strip() and "complete log" not in line.lower()]
    first = re.sub(r"\w+://\S+", "(address)", next(iter(lines), "no reason"))
    return UserError(f"npm could not download {wanted}: {first.strip()[:200]}",
                     f"See why with: npm pack {wanted} --ignore-scripts")
