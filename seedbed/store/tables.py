"""The tables. A change here needs a new file in `migrations/versions`; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import sqlalchemy as sa

from .records import JobState, RunState


class Moment(sa.TypeDecorator[datetime]):
    """A time in UTC that knows it is UTC. SQLite keeps no zone, so a time without one is refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))  # type: ignore[no-any-return]


def _one_of(column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({', '.join(map(repr, values))})", column)


metadata = sa.MetaData(naming_convention={
    "pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s"})

datasets = sa.Table(
    "datasets", metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("rows", sa.JSON, nullable=False),  # rows per split
    sa.Column("recorded", Moment, nullable=False),
)

runs = sa.Table(
    "runs", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("folder", sa.Text, nullable=False, unique=True),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("data_hash", sa.ForeignKey("datasets.hash"), nullable=True),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started", Moment, nullable=False),
    sa.Column("finished", Moment),
    sa.Column("winner", sa.Text),
    sa.Column("seconds", sa.Float),
    sa.Column("result", sa.JSON(none_as_null=True)),
    # Which process runs it: by these a run that was killed is told from one that is at work.
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("born", sa.Text, nullable=False),
    _one_of("state", get_args(RunState)),
)

scores = sa.Table(
    "scores", metadata,
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("candidate", sa.Text, primary_key=True),
    sa.Column("split", sa.Text, primary_key=True),
    sa.Column("metric", sa.Text, primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("low", sa.Float, nullable=False),
    sa.Column("high", sa.Float, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
)

bundles = sa.Table(
    "bundles", metadata,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("recorded", Moment, nullable=False),
)

examples = sa.Table(
    "examples", metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
)

# A name belongs to a person or to a machine, for ever. `suggestions` and `answers` repeat the kind, each fixed by a
# check, and refer to (name, kind): so the database itself refuses an answer of a machine, whoever asks.
actors = sa.Table(
    "actors", metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.UniqueConstraint("name"),
    _one_of("kind", ("person", "machine")),
)

suggestions = sa.Table(
    "suggestions", metadata,
    sa.Column("example_id", sa.ForeignKey("examples.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("agent", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False, server_default=sa.text("'machine'")),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("time", Moment, nullable=False),
    sa.ForeignKeyConstraint(["agent", "kind"], ["actors.name", "actors.kind"]),
    _one_of("kind", ("machine",)),
)

answers = sa.Table(
    "answers", metadata,
    sa.Column("example_id", sa.ForeignKey("examples.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("person", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False, server_default=sa.text("'person'")),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("time", Moment, nullable=False),
    sa.ForeignKeyConstraint(["person", "kind"], ["actors.name", "actors.kind"]),
    _one_of("kind", ("person",)),
)

jobs = sa.Table(
    "jobs", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("cancel_asked", sa.Boolean, nullable=False),
    sa.Column("worker", sa.Text),
    sa.Column("heartbeat", Moment),
    sa.Column("progress", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.Text),
    sa.Column("queued", Moment, nullable=False),
    sa.Column("ended", Moment),
    _one_of("state", get_args(JobState)),
    sa.Index(None, "state", "id"),  # claim: the oldest queued job
)
