"""Supervised jobs.

expand: two new tables; what runs without them runs on.

Revision: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("appid", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("cname", sa.String(length=1024), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("terms", JSON, nullable=False),
        sa.Column("secrets", sa.Text(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "starting",
                "confirming",
                "running",
                "doubted",
                "clearing",
                "stopping",
                "done",
                "failed",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("position", JSON, nullable=False),
        sa.Column("stop_wanted", sa.Boolean(), nullable=False),
        sa.Column("sid", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("trouble", sa.String(length=500), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("next_due_ms", BIG, nullable=True),
        sa.Column("queued_until_ms", BIG, nullable=False),
        sa.Column("busy_until_ms", BIG, nullable=False),
        sa.Column("deadline_ms", BIG, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("ended_ms", BIG, nullable=True),
        sa.Column("keep_until_ms", BIG, nullable=True),
        sa.ForeignKeyConstraint(["appid"], ["app.appid"], name=op.f("fk_job_appid_app"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job")),
    )
    op.create_index("ix_job_app_created", "job", ["appid", "created_ms"], unique=False)
    op.create_index("ix_job_due", "job", ["next_due_ms"], unique=False)
    op.create_index(op.f("ix_job_keep_until_ms"), "job", ["keep_until_ms"], unique=False)
    op.create_index("uq_job_key", "job", ["appid", "key"], unique=True)

    op.create_table(
        "job_attempt",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("n", sa.SmallInteger(), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=2048), nullable=False),
        sa.Column("sid", sa.String(length=64), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("files", JSON, nullable=False),
        sa.Column("sent", sa.Boolean(), nullable=False),
        sa.Column("resumed", sa.Boolean(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("begun_ms", BIG, nullable=False),
        sa.Column("sid_ms", BIG, nullable=True),
        sa.Column("confirmed_ms", BIG, nullable=True),
        sa.Column("missed_ms", BIG, nullable=True),
        sa.Column("over_ms", BIG, nullable=True),
        sa.Column("ending", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name=op.f("fk_job_attempt_job_id_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "n", name=op.f("pk_job_attempt")),
    )
    op.create_index(op.f("ix_job_attempt_sid"), "job_attempt", ["sid"], unique=False)


def downgrade() -> None:
    op.drop_table("job_attempt")
    op.drop_table("job")
