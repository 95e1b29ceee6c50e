"""Wake-ups: which groups to name to the workers, first and again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from db.models import GroupRow, JobRow, PromptRow, WakeupRow
from db.session import now


class OutboxRow(NamedTuple):
    """A wake-up that was not sent yet."""

    id: int
    group_id: str


def pending(session: Session, limit: int) -> list[OutboxRow]:
    """At most ``limit`` wake-ups that wait to be sent, oldest first."""
    rows = session.execute(
        select(WakeupRow.id, WakeupRow.group_id).order_by(WakeupRow.id).limit(limit)
    )
    return [OutboxRow(row.id, row.group_id) for row in rows]


def sent(session: Session, ids: Sequence[int]) -> None:
    """Forget wake-ups that are on the queue now."""
    session.execute(
        delete(WakeupRow).where(WakeupRow.id.in_(ids)),
        execution_options={"synchronize_session": False},
    )


def due(session: Session, *, older_than_seconds: float, limit: int = 64) -> list[str]:
    """Groups that wait for a worker although they were woken; marks them woken now.

    All groups whose worker is gone (an expired lease), and of those still queued the
    ``limit`` that were woken longest ago: waking thousands of queued groups again and again
    would only fill the queue. Groups woken within ``older_than_seconds`` are left out, and
    jobs that are being cancelled or have ended.
    """
    time = now()
    overdue = (
        select(GroupRow.id)
        .join(JobRow, JobRow.id == GroupRow.job_id)
        .where(
            JobRow.status.in_(("queued", "running")),
            GroupRow.woken_at <= time - timedelta(seconds=older_than_seconds),
        )
        .order_by(GroupRow.woken_at, GroupRow.id)
        # A group that somebody is waking right now need not be waited for.
        .with_for_update(of=GroupRow, skip_locked=True)
    )
    abandoned = select(PromptRow.index).where(
        PromptRow.group_id == GroupRow.id,
        PromptRow.status == "running",
        or_(PromptRow.lease_expires_at.is_(None), PromptRow.lease_expires_at < time),
    )
    waiting = select(PromptRow.index).where(
        PromptRow.group_id == GroupRow.id, PromptRow.status == "queued"
    )
    found = list(session.scalars(overdue.where(abandoned.exists())))
    queued = session.scalars(overdue.where(waiting.exists(), ~abandoned.exists()).limit(limit))
    found.extend(queued)
    if found:
        session.execute(update(GroupRow), [{"id": group, "woken_at": time} for group in found])
    return found
