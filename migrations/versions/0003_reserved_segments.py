"""Segments that wait for a store.

expand: an index; whoever does not know of it loses nothing.

Revision: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RESERVED = sa.text("state = 'reserved'")


def upgrade() -> None:
    op.create_index(
        "ix_segment_reserved",
        "segment",
        ["sid", "epoch"],
        unique=False,
        postgresql_where=RESERVED,
        sqlite_where=RESERVED,
    )


def downgrade() -> None:
    op.drop_index("ix_segment_reserved", table_name="segment")
