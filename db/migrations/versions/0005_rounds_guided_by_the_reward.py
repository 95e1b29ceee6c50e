"""What a round says besides, each of whose tokens was picked by the reward."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("iterations", sa.Column("guided", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("iterations", "guided")
