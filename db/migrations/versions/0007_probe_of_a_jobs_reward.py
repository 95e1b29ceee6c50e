"""What the probe of a job's reward found out, told by the worker that made it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("probe", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "probe")
