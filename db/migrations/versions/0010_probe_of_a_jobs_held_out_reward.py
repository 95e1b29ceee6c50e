"""What was found out about a job's held-out reward before its first round."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("held_out_probe", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "held_out_probe")
