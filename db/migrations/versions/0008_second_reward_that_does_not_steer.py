"""What a second reward, that does not steer, says of rounds and candidates; the diversity of a round."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A REAL column of SQLite would lose the sign of -0.0.
    real: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.BLOB(), "sqlite")
    op.add_column("iterations", sa.Column("held_out", sa.Text(), nullable=True))
    op.add_column("iterations", sa.Column("diversity", real, nullable=True))
    op.add_column("candidates", sa.Column("held_out", real, nullable=True))


def downgrade() -> None:
    op.drop_column("candidates", "held_out")
    op.drop_column("iterations", "diversity")
    op.drop_column("iterations", "held_out")
