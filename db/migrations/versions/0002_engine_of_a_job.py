"""What decodes a job: device, rows and memory, told by the worker that has it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("engine", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "engine")
