"""Groups whose worker was found dead, which are claimed before anything new is begun."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_LEFT = sa.text("left_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("groups", sa.Column("left_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_groups_left", "groups", ["left_at"], sqlite_where=_LEFT, postgresql_where=_LEFT
    )


def downgrade() -> None:
    op.drop_index("ix_groups_left", "groups")
    op.drop_column("groups", "left_at")
