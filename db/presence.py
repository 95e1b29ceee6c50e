"""Which workers are alive."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.models import WorkerRow
from db.session import now

_FORGOTTEN_AFTER = timedelta(days=1)


class Presence(NamedTuple):
    """A worker's last sign of life."""

    owner: str
    model: str
    status: str
    seen_at: datetime


def beat(session: Session, owner: str, model: str, status: str) -> None:
    """Say that this worker is alive; forgets workers unseen for a day."""
    time = now()
    session.execute(
        delete(WorkerRow).where(WorkerRow.seen_at < time - _FORGOTTEN_AFTER),
        execution_options={"synchronize_session": False},
    )
    session.merge(WorkerRow(owner=owner, model=model, status=status, seen_at=time))
    session.flush()


def leave(session: Session, owner: str) -> None:
    """This worker ends, and is not to be counted as alive until its last beat is old."""
    session.execute(
        delete(WorkerRow).where(WorkerRow.owner == owner),
        execution_options={"synchronize_session": False},
    )


def alive(session: Session, within_seconds: float) -> list[Presence]:
    """Workers seen within the last ``within_seconds``, the latest first."""
    rows = session.execute(
        select(WorkerRow.owner, WorkerRow.model, WorkerRow.status, WorkerRow.seen_at)
        .where(WorkerRow.seen_at >= now() - timedelta(seconds=within_seconds))
        .order_by(WorkerRow.seen_at.desc(), WorkerRow.owner)
    )
    return [Presence(*row) for row in rows]
