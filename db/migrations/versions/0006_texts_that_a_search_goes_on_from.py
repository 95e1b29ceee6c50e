"""A round's population of texts, and its token KLs from the base model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KLS = ("kl_token_sampled", "kl_token_exact")


def upgrade() -> None:
    # A REAL column of SQLite would lose the sign of -0.0.
    real: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.BLOB(), "sqlite")
    for name in _KLS:
        op.add_column("iterations", sa.Column(name, real, nullable=True))
    op.add_column("iterations", sa.Column("population", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("iterations", "population")
    for name in reversed(_KLS):
        op.drop_column("iterations", name)
