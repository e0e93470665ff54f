"""The first tables. Constraints get their names from `tables.metadata`."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "actors",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.CheckConstraint("kind IN ('person', 'machine')", name="kind"),
        sa.UniqueConstraint("name"))
    op.create_table(
        "datasets",
        sa.Column("hash", sa.String(length=64), primary_key=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.Column("recorded", MOMENT, nullable=False))
    op.create_table(
        "examples",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False))
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("worker", sa.Text()),
        sa.Column("heartbeat", MOMENT),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON()),
        sa.Column("error", sa.Text()),
        sa.Column("queued", MOMENT, nullable=False),
        sa.Column("ended", MOMENT),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"))
    op.create_index("ix_jobs_state_id", "jobs", ["state", "id"])
    op.create_table(
        "answers",
        sa.Column("example_id", sa.Text(), sa.ForeignKey("examples.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("person", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), server_default=sa.text("'person'"), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('person')", name="kind"),
        sa.ForeignKeyConstraint(["person", "kind"], ["actors.name", "actors.kind"]))
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("data_hash", sa.String(length=64), sa.ForeignKey("datasets.hash")),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started", MOMENT, nullable=False),
        sa.Column("finished", MOMENT),
        sa.Column("winner", sa.Text()),
        sa.Column("seconds", sa.Float()),
        sa.Column("result", sa.JSON()),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('running', 'finished', 'failed', 'interrupted')", name="state"),
        sa.UniqueConstraint("folder"))
    op.create_table(
        "suggestions",
        sa.Column("example_id", sa.Text(), sa.ForeignKey("examples.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("agent", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), server_default=sa.text("'machine'"), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('machine')", name="kind"),
        sa.ForeignKeyConstraint(["agent", "kind"], ["actors.name", "actors.kind"]))
    op.create_table(
        "bundles",
        sa.Column("path", sa.Text(), primary_key=True),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Integer(), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("recorded", MOMENT, nullable=False))
    op.create_table(
        "scores",
        sa.Column("run_id", sa.Integer(), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("candidate", sa.Text(), primary_key=True),
        sa.Column("split", sa.Text(), primary_key=True),
        sa.Column("metric", sa.Text(), primary_key=True),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=False),
        sa.Column("high", sa.Float(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False))
