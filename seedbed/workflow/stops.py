"""How a run begins in a folder of its own, and how one that was stopped says what to do."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..errors import Interrupted, NoResources, NotFound, UserError, lacking
from ..progress import Progress
from ..records import Record
from .config import Job, Main, RunFolder, Training, check, read_config

if TYPE_CHECKING:
    from ..store import Store

R = TypeVar("R", bound=Record)


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
def recorded(job: Job[Main, Training], store: Store, data_hash: str, counts: dict[str, int], metric: str,
             again: bool) -> Iterator[int]:
    """The run's number in the store, which also learns what stopped it.

    Args:
        counts: rows by split.
        again: it goes on.
    """
    store.record_dataset(data_hash, job.source, counts)
    path = job.folder.path.absolute()
    id = store.start_run(path.name, path, job.config.task, data_hash, {"source": job.source}, metric=metric,
                         resume=again)
    try:
        yield id
    except BaseException as problem:
        with contextlib.suppress(Exception):  # on a full disk this fails too; the first problem is the one to tell
            store.finish_run(id, "interrupted" if isinstance(problem, KeyboardInterrupt) else "failed")
        raise


def finished(folder: RunFolder, kind: type[R]) -> R | None:
    """The result, where the run ended before: `result.json` is the last file that it writes."""
    try:
        return kind.model_validate_json(folder.result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


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
