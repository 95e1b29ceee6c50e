"""Whether a candidate was longer than the reward reads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("candidates", sa.Column("truncated", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("candidates", "truncated")
