"""Whose turn it is among the jobs that wait: their models, priorities, and when they were served."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None

_OPEN = sa.text("status IN ('queued', 'running')")
_LONG_AGO = "1970-01-01 00:00:00+00:00"
_AT_ONCE = 1000


def upgrade() -> None:
    op.add_column("jobs", sa.Column("model", sa.Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("priority", sa.Integer(), nullable=False, server_default="1"))
    op.add_column(
        "jobs",
        sa.Column(
            "served_at", sa.DateTime(timezone=True), nullable=False, server_default=_LONG_AGO
        ),
    )
    op.execute("UPDATE jobs SET served_at = created_at")
    _name_models()
    op.create_index(
        "ix_jobs_turn",
        "jobs",
        ["model", "priority", "served_at", "id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.drop_index("ix_prompts_status", "prompts")
    op.create_index("ix_prompts_status", "prompts", ["job_id", "status", "group_id"])


def downgrade() -> None:
    op.drop_index("ix_prompts_status", "prompts")
    op.create_index("ix_prompts_status", "prompts", ["job_id", "status"])
    op.drop_index("ix_jobs_turn", "jobs")
    op.drop_column("jobs", "served_at")
    op.drop_column("jobs", "priority")
    op.drop_column("jobs", "model")


def _name_models() -> None:
    """The model of each job stands in its settings, as text that no database looks into."""
    jobs = sa.table("jobs", sa.column("id"), sa.column("settings"), sa.column("model"))
    connection = op.get_bind()
    after = ""
    while rows := connection.execute(
        sa.select(jobs.c.id, jobs.c.settings)
        .where(jobs.c.id > after)
        .order_by(jobs.c.id)
        .limit(_AT_ONCE)
    ).all():
        after = rows[-1].id
        for row in rows:
            model = json.loads(row.settings)["model"]
            connection.execute(sa.update(jobs).where(jobs.c.id == row.id).values(model=model))
