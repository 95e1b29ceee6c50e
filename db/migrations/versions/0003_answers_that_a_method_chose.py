"""Which sample of a round a method made its answer, where that need not be the best."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("iterations", sa.Column("chosen", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("iterations", "chosen")
