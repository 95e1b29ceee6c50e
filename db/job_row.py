"""The table of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.declared import Base

_OPEN = "status IN ('queued', 'running')"


class JobRow(Base):
    """A job: its request without the prompts, its state, and what it has cost so far."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_created", "created_at", "id"),
        Index("ix_jobs_project", "project", "created_at", "id"),
        Index("ix_jobs_key", "key_id", "status"),
        Index("ix_jobs_status", "status"),
        Index(
            "ix_jobs_turn",
            *("model", "priority", "served_at", "id"),
            sqlite_where=text(_OPEN),
            postgresql_where=text(_OPEN),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str] = mapped_column(server_default="default")
    key_id: Mapped[str | None]  # the API key that posted it
    model: Mapped[str] = mapped_column(server_default="")
    priority: Mapped[int] = mapped_column(server_default="1")  # its place in PRIORITIES
    # Since when it waits for its turn: a group of it was claimed, or it was queued.
    served_at: Mapped[datetime] = mapped_column(server_default="1970-01-01 00:00:00+00:00")
    status: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)  # with its project
    body_hash: Mapped[str]
    request_bytes: Mapped[int] = mapped_column(BigInteger)
    prompt_count: Mapped[int]
    rounds: Mapped[int]  # trace rows to be expected of one prompt, all arms together
    event_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    # Costs never go down, also not when a failed prompt's trace is deleted for a retry.
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    generated_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    candidates: Mapped[int] = mapped_column(BigInteger, default=0)
    reward_calls: Mapped[int] = mapped_column(BigInteger, default=0)
    reward_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    decode_seconds: Mapped[float] = mapped_column(default=0.0)
    reward_seconds: Mapped[float] = mapped_column(default=0.0)
    wait_seconds: Mapped[float] = mapped_column(default=0.0)
    error: Mapped[dict[str, Any] | None]
    settings: Mapped[dict[str, Any]]  # the request without its prompts
    engine: Mapped[dict[str, Any] | None]  # what decodes it; None before a worker has had it
    probe: Mapped[dict[str, Any] | None]  # what was found out about its reward
    held_out_probe: Mapped[dict[str, Any] | None]  # and about the one that does not steer
