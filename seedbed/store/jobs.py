"""The job queue: long work waits here until a worker process claims it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Update, insert, select, update

from ..errors import NotFound
from .database import Database, now
from .records import Job, JobState
from .tables import jobs

STALE_S = 60.0
"""A worker that gave no heartbeat for so long is taken for dead."""


class Jobs(Database):
    def enqueue(self, kind: str, payload: dict[str, Any], *, max_attempts: int = 3) -> int:
        """Add a job; its id.

        Args:
            kind: which worker function it is for.
            payload: that function's arguments, plain JSON without secrets.
            max_attempts: how often it may be claimed; it is claimed again only when a worker dies.
        """
        with self._write() as c:
            id: int = c.execute(insert(jobs).values(
                kind=kind, payload=payload, state="queued", attempts=0, max_attempts=max_attempts, cancel_asked=False,
                progress={}, queued=now(c)).returning(jobs.c.id)).scalar_one()
            return id

    def claim(self, worker: str, kinds: Sequence[str] = (), *, stale_s: float = STALE_S) -> Job | None:
        """Take the oldest queued job for this worker; None when there is none. No two workers get the same.

        First, jobs whose worker died go back to the queue (or end, when cancelled or tried too often).

        Args:
            worker: a name that no other worker has.
            kinds: take only these; empty means any.
            stale_s: seconds without a heartbeat after which a worker is taken for dead.
        """
        with self._write() as c:
            moment = now(c)
            _revive(c, moment, moment - timedelta(seconds=stale_s))
            oldest = select(jobs.c.id).where(jobs.c.state == "queued").order_by(jobs.c.id).limit(1)
            if kinds:
                oldest = oldest.where(jobs.c.kind.in_(kinds))
            # PostgreSQL passes over rows that another worker is taking; on SQLite only one transaction writes.
            id = c.execute(oldest.with_for_update(skip_locked=True)).scalar_one_or_none()
            if id is None:
                return None
            row = c.execute(update(jobs).where(jobs.c.id == id).values(
                state="running", worker=worker, attempts=jobs.c.attempts + 1, heartbeat=moment,
                progress={}).returning(*jobs.c)).one()
            return Job(**row._mapping)

    def heartbeat(self, job: Job, progress: dict[str, Any] | None = None) -> bool:
        """Say that the worker is alive, and how far it is.

        Returns:
            Whether to go on: False when the job was cancelled, or taken from this worker as dead.
        """
        with self._write() as c:
            values: dict[str, Any] = {"heartbeat": now(c)}
            if progress is not None:
                values["progress"] = progress
            cancelled = c.execute(_mine(job).values(values).returning(jobs.c.cancel_asked)).scalar_one_or_none()
            return cancelled is False

    def end_job(self, job: Job, state: Literal["done", "failed", "cancelled"], *,
                result: dict[str, Any] | None = None, error: str | None = None) -> bool:
        """Remember how a job ended.

        Returns:
            False when the job was taken from this worker meanwhile: then nothing changes.
        """
        with self._write() as c:
            ended = c.execute(_mine(job).values(state=state, result=result, error=error, ended=now(c)))
            return ended.rowcount == 1

    def cancel_job(self, id: int) -> Job:
        """Cancel a queued job at once, a running one at its worker's next heartbeat; one that ended stays as it is.

        Raises:
            NotFound: no job has that id.
        """
        with self._write() as c:
            c.execute(select(jobs.c.id).where(jobs.c.id == id).with_for_update())  # no claim in between
            this = update(jobs).where(jobs.c.id == id)
            c.execute(this.where(jobs.c.state == "queued").values(state="cancelled", ended=now(c)))
            c.execute(this.where(jobs.c.state == "running").values(cancel_asked=True))
            return _job(c, id)

    def job(self, id: int) -> Job:
        """One job.

        Raises:
            NotFound: no job has that id.
        """
        with self._read() as c:
            return _job(c, id)

    def jobs(self, state: JobState | None = None, limit: int | None = None) -> list[Job]:
        """Jobs, the newest first."""
        wanted = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        if state is not None:
            wanted = wanted.where(jobs.c.state == state)
        with self._read() as c:
            return [Job(**row._mapping) for row in c.execute(wanted)]


def _mine(job: Job) -> Update:
    """An update that finds the job only while this very claim holds."""
    return update(jobs).where(jobs.c.id == job.id, jobs.c.state == "running", jobs.c.worker == job.worker,
                              jobs.c.attempts == job.attempts)


def _job(c: Connection, id: int) -> Job:
    row = c.execute(select(jobs).where(jobs.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no job with the id {id}.", "It may be in another database: see SEEDBED_DATABASE.")
    return Job(**row._mapping)


def _revive(c: Connection, moment: datetime, before: datetime) -> None:
    dead = select(jobs).where(jobs.c.state == "running", jobs.c.heartbeat < before)
    for row in c.execute(dead.with_for_update(skip_locked=True)).all():
        if row.cancel_asked:
            values: dict[str, Any] = {"state": "cancelled", "ended": moment}
        elif row.attempts >= row.max_attempts:
            tried = f"Its worker died, {row.attempts} of {row.max_attempts} times."
            values = {"state": "failed", "ended": moment, "error": tried}
        else:
            values = {"state": "queued", "worker": None, "heartbeat": None}
        c.execute(update(jobs).where(jobs.c.id == row.id).values(values))
