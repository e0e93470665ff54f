"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "actors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('person', 'machine')", name=op.f("ck_actors_kind")),
        sa.PrimaryKeyConstraint("name", "kind", name="pk_actors"),
        sa.UniqueConstraint("name", name="uq_actors_name"))
    op.create_table(
        "datasets",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.Column("recorded", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_datasets"))
    op.create_table(
        "examples",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_examples"))
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
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
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')",
                           name=op.f("ck_jobs_state")),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"))
    op.create_index("ix_jobs_state_id", "jobs", ["state", "id"])
    op.create_table(
        "answers",
        sa.Column("example_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default=sa.text("'person'"), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('person')", name=op.f("ck_answers_kind")),
        sa.ForeignKeyConstraint(["example_id"], ["examples.id"], name="fk_answers_example_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person", "kind"], ["actors.name", "actors.kind"], name="fk_answers_person_kind"),
        sa.PrimaryKeyConstraint("example_id", "person", name="pk_answers"))
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("data_hash", sa.String(length=64)),
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
        sa.CheckConstraint("state IN ('running', 'finished', 'failed', 'interrupted')", name=op.f("ck_runs_state")),
        sa.ForeignKeyConstraint(["data_hash"], ["datasets.hash"], name="fk_runs_data_hash"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("folder", name="uq_runs_folder"))
    op.create_table(
        "suggestions",
        sa.Column("example_id", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default=sa.text("'machine'"), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('machine')", name=op.f("ck_suggestions_kind")),
        sa.ForeignKeyConstraint(["agent", "kind"], ["actors.name", "actors.kind"], name="fk_suggestions_agent_kind"),
        sa.ForeignKeyConstraint(["example_id"], ["examples.id"], name="fk_suggestions_example_id",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("example_id", "agent", name="pk_suggestions"))
    op.create_table(
        "bundles",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("recorded", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_bundles_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("path", name="pk_bundles"))
    op.create_table(
        "scores",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.Text(), nullable=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=False),
        sa.Column("high", sa.Float(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_scores_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "candidate", "split", "metric", name="pk_scores"))
