"""The range that an MP4 is cut from.

expand: two columns with defaults; whoever does not know of them writes none.

Revision: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("file") as batch:
        batch.add_column(sa.Column("start_90k", BIG, nullable=False, server_default="0"))
        batch.add_column(sa.Column("end_90k", BIG, nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("file") as batch:
        batch.drop_column("end_90k")
        batch.drop_column("start_90k")
