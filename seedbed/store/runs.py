"""Named queries for runs, their scores, datasets and bundles."""

from __future__ import annotations

import difflib
import math
import os
import platform
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, or_, select, update

from ..errors import NotFound
from ..records import Estimate
from .database import Database, now, put
from .process import born
from .records import Run, RunDetail, RunState, Score, StoredBundle, StoredDataset
from .tables import bundles, datasets, runs, scores

HEADLINE = ("test", "cross-validation", "validation")
"""The split whose score stands for a run, best first."""


class Runs(Database):
    def record_dataset(self, hash: str, source: str, rows: dict[str, int]) -> None:
        """Remember frozen splits, before the run that uses them starts.

        Args:
            hash: SHA-256 of the splits (`Dataset.hash`).
            source: the file or query, without a password.
            rows: rows per split.
        """
        with self._write() as c:
            put(c, datasets, hash=hash, source=source, rows=rows, recorded=now(c))

    def start_run(self, name: str, folder: Path, task: str, data_hash: str | None, config: dict[str, Any], *,
                  metric: str, resume: bool = False) -> int:
        """Remember that this process runs `folder` now.

        Args:
            data_hash: of a recorded dataset.
            config: as resolved, without secrets.
            metric: the metric that chooses.
            resume: keep what the folder's earlier run recorded; without it that run is forgotten.

        Returns:
            The run's id.

        Raises:
            ValueError: the dataset was not recorded.
        """
        place = str(folder.absolute())
        pid = os.getpid()
        with self._write() as c:
            values = {"name": name, "folder": place, "task": task, "metric": metric, "data_hash": data_hash,
                      "config": config, "state": "running", "host": platform.node(), "pid": pid,
                      "born": born(pid) or "", "finished": None}
            if resume:
                again = c.execute(update(runs).where(runs.c.folder == place).values(values).returning(runs.c.id))
                earlier: int | None = again.scalar_one_or_none()
                if earlier is not None:
                    return earlier
            c.execute(delete(runs).where(runs.c.folder == place))
            id: int = c.execute(insert(runs).values(**values, started=now(c)).returning(runs.c.id)).scalar_one()
            return id

    def finish_run(self, id: int, state: RunState, winner: str | None = None, seconds: float | None = None,
                   result: dict[str, Any] | None = None) -> None:
        """Remember how a run ended.

        Raises:
            NotFound: no run has that id.
        """
        with self._write() as c:
            done = c.execute(update(runs).where(runs.c.id == id).values(
                state=state, winner=winner, seconds=seconds, result=result, finished=now(c)))
            if not done.rowcount:
                raise NotFound(f"There is no run with the id {id}.", "seedbed runs lists them.")

    def record_scores(self, run: int, candidate: str, split: str, metric: str, value: float, low: float, high: float,
                      n: int) -> None:
        """Remember a score with its interval and the cases behind it; a second one replaces the first.

        Raises:
            ValueError: a figure is not finite, or there is no such run.
        """
        if not all(map(math.isfinite, (value, low, high))):
            raise ValueError(f"{candidate} on {split}: {metric} is {value} ({low} to {high}), which is not a number")
        with self._write() as c:
            put(c, scores, run_id=run, candidate=candidate, split=split, metric=metric, value=float(value),
                low=float(low), high=float(high), n=int(n))

    def record_bundle(self, run: int, path: Path, format: int, hash: str) -> None:
        """Remember where a run's bundle lies.

        Raises:
            ValueError: there is no such run.
        """
        with self._write() as c:
            put(c, bundles, path=str(path.absolute()), format=format, hash=hash, run_id=run, recorded=now(c))

    def rehash_bundle(self, path: Path, hash: str) -> None:
        """Remember that a bundle was changed by us: a form for another runtime was added. One that is not known is
        left alone."""
        with self._write() as c:
            c.execute(update(bundles).where(bundles.c.path == str(path.absolute())).values(hash=hash))

    def runs(self, limit: int | None = None) -> list[Run]:
        """Runs, the newest first."""
        with self._read() as c:
            wanted = select(runs).order_by(runs.c.started.desc(), runs.c.id.desc()).limit(limit)
            rows = c.execute(wanted).all()
            found = _scores(c, wanted.with_only_columns(runs.c.id))  # not ids: a query may hold only so many
        return [Run(**_line(row, found[row.id])) for row in rows]

    def run(self, name: str) -> RunDetail:
        """The newest run of a name, or the run of a folder.

        Raises:
            NotFound: there is none; the hint names those that are alike.
        """
        with self._read() as c:
            wanted = or_(runs.c.name == name, runs.c.folder == str(Path(name).absolute()))
            newest = select(runs).where(wanted).order_by(runs.c.started.desc(), runs.c.id.desc()).limit(1)
            row = c.execute(newest).one_or_none()
            if row is None:
                names = list(c.execute(select(runs.c.name).distinct()).scalars())
                alike = difflib.get_close_matches(name, names)
                raise NotFound(f"There is no run {name!r} in {self.where}.",
                               f"Did you mean {', '.join(alike)}?" if alike else "seedbed runs lists them.")
            dataset = c.execute(select(datasets).where(datasets.c.hash == row.data_hash)).one_or_none()
            made = c.execute(select(bundles.c.path, bundles.c.format, bundles.c.hash, bundles.c.recorded)
                             .where(bundles.c.run_id == row.id).order_by(bundles.c.recorded)).all()
            found = _scores(c, [row.id])[row.id]
        return RunDetail(**_line(row, found), config=row.config, result=row.result, scores=found,
                         dataset=StoredDataset(**dataset._mapping) if dataset else None,
                         bundles=[StoredBundle(**one._mapping) for one in made])


def _scores(c: Connection, ids: Sequence[int] | Select[int]) -> dict[int, list[Score]]:
    found: dict[int, list[Score]] = defaultdict(list)
    t = scores.c
    for row in c.execute(select(scores).where(t.run_id.in_(ids)).order_by(t.candidate, t.split, t.metric)):
        estimate = Estimate(value=row.value, low=row.low, high=row.high, n=row.n)
        found[row.run_id].append(Score(candidate=row.candidate, split=row.split, metric=row.metric, score=estimate))
    return found


def _line(row: Row[Any], found: list[Score]) -> dict[str, Any]:
    mine = [s for s in found if s.candidate == row.winner and s.metric == row.metric and s.split in HEADLINE]
    # A process of another machine cannot be looked at: what it wrote last is believed.
    dead = row.state == "running" and row.host == platform.node() and born(row.pid) != row.born
    return {"id": row.id, "name": row.name, "folder": row.folder, "task": row.task, "metric": row.metric,
            "state": "interrupted" if dead else row.state, "pid": row.pid, "started": row.started,
            "finished": row.finished, "winner": row.winner, "seconds": row.seconds,
            "score": min(mine, key=lambda s: HEADLINE.index(s.split), default=None)}
