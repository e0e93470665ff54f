"""One process a run folder. The lock is the kernel's: it is free again the moment its holder is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import Busy, UserError

LOCK = ".lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the folder is made if needed.

    Holders that are killed leave the file `.lock` behind, but not the lock.

    Raises:
        Busy: another process (or this one) holds it; the message names its process id.
        UserError: there is a file in the folder's place.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{folder} is, or lies in, a file and not a folder.", "Name another folder.") from None
    path = folder / LOCK
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        pid = path.read_text(errors="replace").strip()
        raise Busy(f"{folder} is in use by {f'process {pid}' if pid else 'another process'}.",
                   "Wait until it ends, stop it, or name another folder.") from None
    try:
        path.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()
