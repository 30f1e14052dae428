"""Copies in the backup store, and the queue of recordings that are moved out of it.

expand: two tables that nobody who does not know of them asks for.

Revision: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "backup_copy",
        sa.Column("sid", sa.String(32), nullable=False),
        sa.Column("key", sa.String(1200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("moved", sa.Boolean(), nullable=False),
        sa.Column("bytes", BIG, nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["sid"], ["recording.sid"], name=op.f("fk_backup_copy_sid_recording"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sid", "key", name=op.f("pk_backup_copy")),
    )
    op.create_table(
        "backlog",
        sa.Column("sid", sa.String(32), nullable=False),
        sa.Column("next_ms", BIG, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(500), nullable=False),
        sa.ForeignKeyConstraint(["sid"], ["recording.sid"], name=op.f("fk_backlog_sid_recording"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_backlog")),
    )
    op.create_index(op.f("ix_backlog_next_ms"), "backlog", ["next_ms"])


def downgrade() -> None:
    op.drop_table("backlog")
    op.drop_table("backup_copy")
