"""What happened to a job, in order: the source of the server-sent events."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from db.models import EventRow, JobRow
from prelogit.core.errors import StoreError

Kind = Literal["job", "iteration", "result"]
_LAST = 2**63 - 1


class Event(NamedTuple):
    """One event; ``seq`` counts from 1 within its job."""

    seq: int
    kind: str
    data: dict[str, Any]


def append(session: Session, job_id: str, kind: Kind, data: dict[str, Any]) -> int:
    """Write the job's next event and return its number.

    The number comes from the job's row, which stays locked until the commit: whoever sees an
    event has seen all those with lower numbers. Raises StoreError for an unknown job.
    """
    seq = session.scalar(
        update(JobRow)
        .where(JobRow.id == job_id)
        .values(event_seq=JobRow.event_seq + 1)
        .returning(JobRow.event_seq)
        .execution_options(synchronize_session=False)
    )
    if seq is None:
        raise StoreError(f"there is no job {job_id}: it was deleted")
    session.execute(insert(EventRow).values(job_id=job_id, seq=seq, kind=kind, data=data))
    return seq


def after(session: Session, job_id: str, seq: int, limit: int) -> list[Event]:
    """At most ``limit`` events of the job with higher numbers than ``seq``, in order."""
    rows = session.execute(
        select(EventRow.seq, EventRow.kind, EventRow.data)
        .where(EventRow.job_id == job_id, EventRow.seq > max(-1, min(seq, _LAST)))
        .order_by(EventRow.seq)
        .limit(limit)
    )
    return [Event(row.seq, row.kind, row.data) for row in rows]


def last(session: Session, job_id: str) -> int:
    """The number of the job's latest event; 0 before the first and for an unknown job."""
    return session.scalar(select(JobRow.event_seq).where(JobRow.id == job_id)) or 0
