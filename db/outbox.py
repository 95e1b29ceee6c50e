"""Wake-ups: which groups to name to the workers, first and again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, ScalarResult, Select, delete, func, or_, select, update
from sqlalchemy.orm import Session

from db.models import GroupRow, JobRow, PromptRow, WakeupRow
from db.session import now


class OutboxRow(NamedTuple):
    """A wake-up that was not sent yet; ``model``: what its job is to be run with."""

    id: int
    group_id: str
    model: str


def pending(session: Session, limit: int) -> list[OutboxRow]:
    """At most ``limit`` wake-ups that wait to be sent, oldest first."""
    rows = session.execute(
        select(WakeupRow.id, WakeupRow.group_id, JobRow.settings)
        .join(GroupRow, GroupRow.id == WakeupRow.group_id)
        .join(JobRow, JobRow.id == GroupRow.job_id)
        .order_by(WakeupRow.id)
        .limit(limit)
    )
    return [OutboxRow(row.id, row.group_id, row.settings["model"]) for row in rows]


def models(session: Session, group_ids: Collection[str]) -> dict[str, str]:
    """The model of each group's job, by group id; groups that are gone are left out."""
    rows = session.execute(
        select(GroupRow.id, JobRow.settings)
        .join(JobRow, JobRow.id == GroupRow.job_id)
        .where(GroupRow.id.in_(group_ids))
    )
    return {row.id: row.settings["model"] for row in rows}


def sent(session: Session, ids: Sequence[int]) -> None:
    """Forget wake-ups that are on the queue now."""
    session.execute(
        delete(WakeupRow).where(WakeupRow.id.in_(ids)),
        execution_options={"synchronize_session": False},
    )


def due(session: Session, *, older_than_seconds: float, limit: int = 64) -> list[str]:
    """Groups that wait for a worker although they were woken; marks them woken now.

    All groups whose worker is gone (an expired lease), which are marked as left, so that they
    are the first to be claimed; and of those still queued ``limit``:
    waking thousands of queued groups again and again would only fill the queue. The jobs take
    turns, each with what it was woken for longest ago, so that a long job whose model has no
    worker holds up no other. Groups woken within ``older_than_seconds`` are left out, and jobs
    that are being cancelled or have ended.
    """
    time = now()
    overdue = (
        JobRow.status.in_(("queued", "running")),
        GroupRow.woken_at <= time - timedelta(seconds=older_than_seconds),
    )
    abandoned = abandoned_prompts(time)
    waiting = select(PromptRow.index).where(
        PromptRow.group_id == GroupRow.id, PromptRow.status == "queued"
    )
    oldest_first = (GroupRow.woken_at, GroupRow.id)
    turns = (
        select(
            GroupRow.id,
            GroupRow.woken_at,
            func.row_number()
            .over(partition_by=GroupRow.job_id, order_by=oldest_first)
            .label("turn"),
        )
        .join(JobRow, JobRow.id == GroupRow.job_id)
        .where(*overdue, waiting.exists(), ~abandoned.exists())
        .subquery()
    )
    chosen = select(turns.c.id).order_by(turns.c.turn, turns.c.woken_at, turns.c.id).limit(limit)
    session.execute(
        update(GroupRow)
        .where(GroupRow.left_at.is_not(None), ~abandoned.exists())
        .values(left_at=None),
        execution_options={"synchronize_session": False},
    )
    left = list(_locked(session, *overdue, abandoned.exists()))
    waits = list(_locked(session, *overdue, GroupRow.id.in_(chosen)))
    if left:
        told = [{"id": group, "woken_at": time, "left_at": time} for group in left]
        session.execute(update(GroupRow), told)
    if waits:
        session.execute(update(GroupRow), [{"id": group, "woken_at": time} for group in waits])
    return left + waits


def abandoned_prompts(time: datetime) -> Select[int]:
    """Prompts of a group whose worker is gone: it has not renewed its lease."""
    return select(PromptRow.index).where(
        PromptRow.group_id == GroupRow.id,
        PromptRow.status == "running",
        or_(PromptRow.lease_expires_at.is_(None), PromptRow.lease_expires_at < time),
    )


def _locked(session: Session, *conditions: ColumnElement[bool]) -> ScalarResult[str]:
    return session.scalars(
        select(GroupRow.id)
        .join(JobRow, JobRow.id == GroupRow.job_id)
        .where(*conditions)
        .order_by(GroupRow.woken_at, GroupRow.id)
        # A group that somebody is waking right now need not be waited for.
        .with_for_update(of=GroupRow, skip_locked=True)
    )
