"""How the pictures of a single sender's segment look, for its playlist.

expand: a column with a default; whoever does not know of it loses nothing.

Revision: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segment", sa.Column("shape", sa.String(24), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    op.drop_column("segment", "shape")
