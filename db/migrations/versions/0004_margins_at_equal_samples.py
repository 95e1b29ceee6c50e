"""The margin over a baseline at the samples that the method used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A REAL column of SQLite would lose the sign of -0.0.
    real: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.BLOB(), "sqlite")
    op.add_column("baseline_results", sa.Column("expected_margin", real, nullable=True))


def downgrade() -> None:
    op.drop_column("baseline_results", "expected_margin")
