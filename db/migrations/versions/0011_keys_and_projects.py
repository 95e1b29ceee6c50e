"""API keys, and the project and the key that a job belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rate_per_minute", sa.Integer(), nullable=True),
        sa.Column("running_prompts", sa.Integer(), nullable=True),
        sa.Column("unfinished_prompts", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("jobs", sa.Column("project", sa.Text(), nullable=False, server_default="default"))
    op.add_column("jobs", sa.Column("key_id", sa.Text(), nullable=True))
    op.create_index("ix_jobs_project", "jobs", ["project", "created_at", "id"])
    op.create_index("ix_jobs_key", "jobs", ["key_id", "status"])


def downgrade() -> None:
    op.drop_index("ix_jobs_key", "jobs")
    op.drop_index("ix_jobs_project", "jobs")
    op.drop_column("jobs", "key_id")
    op.drop_column("jobs", "project")
    op.drop_table("api_keys")
