"""Jobs, prompts, traces, results, events, outbox, ownerships and workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _real() -> sa.types.TypeEngine[float]:
    # A REAL column of SQLite would lose the sign of -0.0.
    return sa.Double().with_variant(sa.BLOB(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("request_bytes", sa.BigInteger(), nullable=False),
        sa.Column("prompt_count", sa.Integer(), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("generated_tokens", sa.BigInteger(), nullable=False),
        sa.Column("candidates", sa.BigInteger(), nullable=False),
        sa.Column("reward_calls", sa.BigInteger(), nullable=False),
        sa.Column("reward_tokens", sa.BigInteger(), nullable=False),
        sa.Column("decode_seconds", _real(), nullable=False),
        sa.Column("reward_seconds", _real(), nullable=False),
        sa.Column("wait_seconds", _real(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("idempotency_key"),
    )
    op.create_index("ix_jobs_created", "jobs", ["created_at", "id"])
    op.create_table(
        "ownerships",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "workers",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner"),
    )
    op.create_index("ix_workers_seen_at", "workers", ["seen_at"])
    op.create_table(
        "events",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "seq"),
    )
    op.create_table(
        "groups",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("woken_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_groups_job_id", "groups", ["job_id"])
    op.create_index("ix_groups_woken_at", "groups", ["woken_at"])
    op.create_table(
        "outbox",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_outbox_group_id", "outbox", ["group_id"])
    op.create_table(
        "prompts",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("prompt_id", sa.Text(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("rounds_done", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("window", sa.BigInteger(), nullable=True),
        sa.Column("dim", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("item", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "prompt_id"),
    )
    op.create_index("ix_prompts_group_id", "prompts", ["group_id"])
    op.create_index("ix_prompts_order", "prompts", ["job_id", "index"], unique=True)
    op.create_index("ix_prompts_status", "prompts", ["job_id", "status"])
    op.create_table(
        "candidates",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("prompt_id", sa.Text(), nullable=False),
        sa.Column("arm", sa.Integer(), nullable=False),
        sa.Column("iteration", sa.Integer(), nullable=False),
        sa.Column("sample", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("reward", _real(), nullable=False),
        sa.Column("finish_reason", sa.Text(), nullable=False),
        sa.Column("token_ids", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id", "prompt_id"], ["prompts.job_id", "prompts.prompt_id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "prompt_id", "arm", "iteration", "sample"),
    )
    op.create_table(
        "iterations",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("prompt_id", sa.Text(), nullable=False),
        sa.Column("arm", sa.Integer(), nullable=False),
        sa.Column("k", sa.Integer(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("reward_calls", sa.Integer(), nullable=False),
        sa.Column("reward_tokens", sa.BigInteger(), nullable=False),
        sa.Column("mean", _real(), nullable=False),
        sa.Column("std", _real(), nullable=False),
        sa.Column("best", _real(), nullable=False),
        sa.Column("best_so_far", _real(), nullable=False),
        sa.Column("ess", _real(), nullable=True),
        sa.Column("lambda", _real(), nullable=True),
        sa.Column("sigma2", _real(), nullable=True),
        sa.Column("kl_gaussian", _real(), nullable=True),
        sa.Column("step", _real(), nullable=True),
        sa.Column("decode_seconds", _real(), nullable=False),
        sa.Column("reward_seconds", _real(), nullable=False),
        sa.Column("wait_seconds", _real(), nullable=False),
        sa.Column("rewards", sa.Text(), nullable=False),
        sa.Column("weights", sa.Text(), nullable=False),
        sa.Column("finish", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id", "prompt_id"], ["prompts.job_id", "prompts.prompt_id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "prompt_id", "arm", "k"),
    )
    op.create_table(
        "results",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("prompt_id", sa.Text(), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("reward", _real(), nullable=True),
        sa.Column("first_mean", _real(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id", "prompt_id"], ["prompts.job_id", "prompts.prompt_id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "prompt_id"),
    )
    op.create_table(
        "baseline_results",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("prompt_id", sa.Text(), nullable=False),
        sa.Column("arm", sa.Integer(), nullable=False),
        sa.Column("reward", _real(), nullable=True),
        sa.Column("margin", _real(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id", "prompt_id"], ["results.job_id", "results.prompt_id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "prompt_id", "arm"),
    )


def downgrade() -> None:
    op.drop_table("baseline_results")
    op.drop_table("results")
    op.drop_table("iterations")
    op.drop_table("candidates")
    op.drop_table("prompts")
    op.drop_table("outbox")
    op.drop_table("groups")
    op.drop_table("events")
    op.drop_table("workers")
    op.drop_table("ownerships")
    op.drop_table("jobs")
