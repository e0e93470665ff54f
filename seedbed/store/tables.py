"""The tables. A change here needs a new file in `migrations/versions`; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class Moment(TypeDecorator[datetime]):
    """A time in UTC that knows it is UTC. SQLite keeps no zone, so a time without one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))  # type: ignore[no-any-return]


RUN_STATES = ("running", "finished", "failed", "interrupted")
JOB_STATES = ("queued", "running", "done", "failed", "cancelled")


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(map(repr, values))})", column)


metadata = MetaData(naming_convention={
    "pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s"})

datasets = Table(
    "datasets", metadata,
    Column("hash", String(64), primary_key=True),
    Column("source", Text, nullable=False),
    Column("rows", JSON, nullable=False),  # rows per split
    Column("recorded", Moment, nullable=False),
)

runs = Table(
    "runs", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folder", Text, nullable=False, unique=True),
    Column("task", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("data_hash", ForeignKey("datasets.hash"), nullable=True),
    Column("config", JSON, nullable=False),
    Column("state", Text, nullable=False),
    Column("started", Moment, nullable=False),
    Column("finished", Moment),
    Column("winner", Text),
    Column("seconds", Float),
    Column("result", JSON(none_as_null=True)),
    # Which process runs it: by these a run that was killed is told from one that is at work.
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("born", Text, nullable=False),
    _one_of("state", RUN_STATES),
)

scores = Table(
    "scores", metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("candidate", Text, primary_key=True),
    Column("split", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("value", Float, nullable=False),
    Column("low", Float, nullable=False),
    Column("high", Float, nullable=False),
    Column("n", Integer, nullable=False),
)

bundles = Table(
    "bundles", metadata,
    Column("path", Text, primary_key=True),
    Column("format", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("recorded", Moment, nullable=False),
)

examples = Table(
    "examples", metadata,
    Column("id", Text, primary_key=True),
    Column("inputs", JSON, nullable=False),
    Column("source", Text, nullable=False),
)

# A name belongs to a person or to a machine, for ever. `suggestions` and `answers` repeat the kind, each fixed by a
# check, and refer to (name, kind): so the database itself refuses an answer of a machine, whoever asks.
actors = Table(
    "actors", metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    UniqueConstraint("name"),
    _one_of("kind", ("person", "machine")),
)

suggestions = Table(
    "suggestions", metadata,
    Column("example_id", ForeignKey("examples.id", ondelete="CASCADE"), primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("kind", Text, nullable=False, server_default=text("'machine'")),
    Column("value", JSON, nullable=False),
    Column("score", Float, nullable=False),
    Column("time", Moment, nullable=False),
    ForeignKeyConstraint(["agent", "kind"], ["actors.name", "actors.kind"]),
    _one_of("kind", ("machine",)),
)

answers = Table(
    "answers", metadata,
    Column("example_id", ForeignKey("examples.id", ondelete="CASCADE"), primary_key=True),
    Column("person", Text, primary_key=True),
    Column("kind", Text, nullable=False, server_default=text("'person'")),
    Column("value", JSON, nullable=False),
    Column("time", Moment, nullable=False),
    ForeignKeyConstraint(["person", "kind"], ["actors.name", "actors.kind"]),
    _one_of("kind", ("person",)),
)

jobs = Table(
    "jobs", metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("cancel_asked", Boolean, nullable=False),
    Column("worker", Text),
    Column("heartbeat", Moment),
    Column("progress", JSON, nullable=False),
    Column("result", JSON(none_as_null=True)),
    Column("error", Text),
    Column("queued", Moment, nullable=False),
    Column("ended", Moment),
    _one_of("state", JOB_STATES),
    Index(None, "state", "id"),  # claim: the oldest queued job
)
