"""The tables. Rows of a job hang below it by cascading keys: deleting the job deletes them.

One lock order everywhere: a transaction that writes rows of a job locks the job's row first.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from db.declared import Base as Base
from db.delivery_rows import DeliveryRow as DeliveryRow
from db.job_row import JobRow as JobRow
from db.key_row import KeyRow as KeyRow

_LEFT = "left_at IS NOT NULL"


class GroupRow(Base):
    """Prompts that are decoded together; a wake-up names one group."""

    __tablename__ = "groups"
    __table_args__ = (
        Index("ix_groups_left", "left_at", sqlite_where=text(_LEFT), postgresql_where=text(_LEFT)),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    woken_at: Mapped[datetime] = mapped_column(index=True)
    left_at: Mapped[datetime | None]  # when its worker was found dead; its prompts may go on by now
    traceparent: Mapped[str | None]  # of the request that queued it


class PromptRow(Base):
    """A prompt: its state, its lease and how far it is. ``fence`` grows with every claim."""

    __tablename__ = "prompts"
    __table_args__ = (
        Index("ix_prompts_order", "job_id", "index", unique=True),
        Index("ix_prompts_status", "job_id", "status", "group_id"),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    prompt_id: Mapped[str] = mapped_column(primary_key=True)
    index: Mapped[int]  # place in the request, from 0
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), index=True)
    status: Mapped[str]
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)  # claims since the last trace row
    rounds_done: Mapped[int] = mapped_column(default=0)
    prompt_tokens: Mapped[int]
    window: Mapped[int | None] = mapped_column(BigInteger)
    dim: Mapped[int | None]
    error: Mapped[Any | None]
    item: Mapped[dict[str, Any]]


class IterationRow(Base):
    """One row of a trace."""

    __tablename__ = "iterations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "prompt_id"], ["prompts.job_id", "prompts.prompt_id"], ondelete="CASCADE"
        ),
    )

    job_id: Mapped[str] = mapped_column(primary_key=True)
    prompt_id: Mapped[str] = mapped_column(primary_key=True)
    arm: Mapped[int] = mapped_column(primary_key=True)
    k: Mapped[int] = mapped_column(primary_key=True)
    final: Mapped[bool]
    n: Mapped[int]  # candidates
    tokens: Mapped[int] = mapped_column(BigInteger)
    reward_calls: Mapped[int]
    reward_tokens: Mapped[int] = mapped_column(BigInteger)
    mean: Mapped[float]
    std: Mapped[float]
    best: Mapped[float]
    best_so_far: Mapped[float]
    ess: Mapped[float | None]
    lambda_: Mapped[float | None] = mapped_column("lambda")
    sigma2: Mapped[float | None]
    kl_gaussian: Mapped[float | None]
    kl_token_sampled: Mapped[float | None]
    kl_token_exact: Mapped[float | None]
    step: Mapped[float | None]
    chosen: Mapped[int | None]  # the sample that the method made its answer
    decode_seconds: Mapped[float]
    reward_seconds: Mapped[float]
    wait_seconds: Mapped[float]
    rewards: Mapped[list[Any]]
    weights: Mapped[list[Any]]
    finish: Mapped[list[Any]]
    guided: Mapped[dict[str, Any] | None]  # of methods that pick every token by the reward
    population: Mapped[dict[str, Any] | None]
    held_out: Mapped[dict[str, Any] | None]  # what a second reward, that does not steer, says
    diversity: Mapped[float | None]


class CandidateRow(Base):
    """A kept candidate. ``place``: its rank (from 0); where all are kept, 1 for those that the
    method passed over when it chose another of their round, else 0."""

    __tablename__ = "candidates"
    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "prompt_id"], ["prompts.job_id", "prompts.prompt_id"], ondelete="CASCADE"
        ),
    )

    job_id: Mapped[str] = mapped_column(primary_key=True)
    prompt_id: Mapped[str] = mapped_column(primary_key=True)
    arm: Mapped[int] = mapped_column(primary_key=True)
    iteration: Mapped[int] = mapped_column(primary_key=True)
    sample: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int]
    reward: Mapped[float]
    held_out: Mapped[float | None]
    truncated: Mapped[bool | None]
    finish_reason: Mapped[str]
    token_ids: Mapped[list[Any]]
    text: Mapped[Any]


class ResultRow(Base):
    """What a search ended with. A prompt that ended without a search has none."""

    __tablename__ = "results"
    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "prompt_id"], ["prompts.job_id", "prompts.prompt_id"], ondelete="CASCADE"
        ),
    )

    job_id: Mapped[str] = mapped_column(primary_key=True)
    prompt_id: Mapped[str] = mapped_column(primary_key=True)
    succeeded: Mapped[bool]
    reward: Mapped[float | None]
    first_mean: Mapped[float | None]  # mean reward of the method's first round
    body: Mapped[dict[str, Any]]


class BaselineRow(Base):
    """Reward and margin of one baseline of a prompt that succeeded."""

    __tablename__ = "baseline_results"
    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "prompt_id"], ["results.job_id", "results.prompt_id"], ondelete="CASCADE"
        ),
    )

    job_id: Mapped[str] = mapped_column(primary_key=True)
    prompt_id: Mapped[str] = mapped_column(primary_key=True)
    arm: Mapped[int] = mapped_column(primary_key=True)
    reward: Mapped[float | None]
    margin: Mapped[float | None]
    expected_margin: Mapped[float | None]  # None too in rows of an older version


class EventRow(Base):
    """What happened to a job, in order."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]


class WakeupRow(Base):
    """A wake-up that is to be sent; deleted when it was."""

    __tablename__ = "outbox"

    # SQLite numbers rows by itself only where the key's type is INTEGER to the letter.
    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), index=True)


class OwnershipRow(Base):
    """Who does a task that only one process may do, and until when."""

    __tablename__ = "ownerships"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    expires_at: Mapped[datetime]
    fence: Mapped[int] = mapped_column(BigInteger)


class WorkerRow(Base):
    """The last sign of life of a worker."""

    __tablename__ = "workers"

    owner: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    status: Mapped[str]
    seen_at: Mapped[datetime] = mapped_column(index=True)
