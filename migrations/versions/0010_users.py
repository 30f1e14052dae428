"""Who was recorded.

expand: a column with a default; whoever does not know of it writes none.

Revision: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("recording") as batch:
        batch.add_column(sa.Column("users", JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    with op.batch_alter_table("recording") as batch:
        batch.drop_column("users")
