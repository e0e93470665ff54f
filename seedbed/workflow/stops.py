"""How a run begins in a folder of its own, and how one that was stopped says what to do."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..errors import Interrupted, NoResources, NotFound, UserError, lacking
from ..progress import Progress
from .config import Job, Main, RunFolder, Training, check, read_config


def folder_for(source: str, out: str | Path | None) -> RunFolder:
    """The run folder: `out`, else `runs/<source>-<time>`."""
    stem = re.sub(r"[^\w-]+", "-", Path(source.split("?")[0]).name.split(".")[0]).strip("-") or "run"
    return RunFolder(Path(out) if out else Path("runs") / f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}")


def begin(source: str, config: Main, training: Training, out: str | Path | None,
          progress: Progress) -> Job[Main, Training]:
    """A new job, checked; nothing is written yet.

    Raises:
        UserError: what it is told cannot be meant, or its folder is taken.
    """
    from ..data.formats.sql import public

    config, training = check(config, training)
    shown = public(source)
    job = Job(shown, config, training, folder_for(shown, out), time.monotonic(), progress)
    refuse(job.folder, job.verb)
    return job


def go_on(folder: str | Path, kind: type[Main], training: type[Training], progress: Progress) -> Job[Main, Training]:
    """The job of a run folder.

    Raises:
        NotFound, CorruptFile: no run folder, or its config cannot be read. UserError: it is one of another verb.
    """
    place = RunFolder(Path(folder))
    if not place.path.is_dir():
        raise NotFound(f"There is no folder {folder}.", "List runs with: seedbed runs")
    source, config, options = read_config(place, kind, training)
    return Job(source, config, options, place, time.monotonic(), progress)


def refuse(folder: RunFolder, verb: str) -> None:
    """Raises UserError where a run would write over something."""
    if folder.config.exists():
        raise UserError(f"{folder.path} holds a run already.",
                        f"Go on with it (seedbed {verb} --resume {folder.path}) or name another folder with --out.")
    if not folder.free:
        raise UserError(f"{folder.path} exists and is not an empty folder.", "Name another folder with --out.")


@contextlib.contextmanager
def told(folder: RunFolder, verb: str) -> Iterator[None]:
    """Turn Ctrl-C, and a machine that ran out of something, into a line that says how to go on."""
    try:
        yield
    except BaseException as problem:
        short = lacking(problem)
        if isinstance(problem, NoResources) and folder.config.exists() and "disk is full" in problem.message:
            short = "disk"  # a room said it, which does not know how to go on
        if not isinstance(problem, KeyboardInterrupt) and not short:
            raise
        again = f"seedbed {verb} --resume {folder.path}"
        kept, then = (f"; what was done is kept in {folder.path}", f"go on with: {again}") \
            if folder.config.exists() else ("; nothing was kept", "start it again.")
        if short == "memory":
            raise NoResources(f"The memory of this machine did not suffice{kept}.",
                              f"Close other programs and {then}") from problem
        if short:
            what = problem.message.rstrip(".") if isinstance(problem, UserError) else "The disk is full"
            raise NoResources(f"{what}{kept}.", f"Free some space and {then}") from problem
        raise Interrupted(f"Stopped{kept}.", then[0].upper() + then[1:]) from None
