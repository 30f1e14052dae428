"""Users of channels that are URLs.

expand: a table that nobody knew.

Revision: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pulled_user",
        sa.Column("appid", sa.String(64), nullable=False),
        sa.Column("cname", sa.String(1024), nullable=False),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["appid"], ["app.appid"], name=op.f("fk_pulled_user_appid_app"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("appid", "cname", "uid", name=op.f("pk_pulled_user")),
    )


def downgrade() -> None:
    op.drop_table("pulled_user")
