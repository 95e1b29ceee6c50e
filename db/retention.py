"""What is deleted because its time is over: of ended jobs, in small transactions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from db import lifecycle
from db.models import CandidateRow, EventRow, IterationRow, JobRow, PromptRow
from prelogit.wire.jobs import ENDED

PROMPTS_AT_ONCE = 100
EVENTS_AT_ONCE = 1000
JOBS_AT_ONCE = 200
# A cancelled prompt needs its candidates: a retry goes on from them.
DONE = ("succeeded", "failed")


class Mark(NamedTuple):
    """When a job that ended then will be deleted; None: never, for now."""

    job_id: str
    ended_at: datetime | None
    expires_at: datetime | None


def unmarked(
    session: Session, days: float | None, *, after: str = ""
) -> tuple[list[Mark], str | None]:
    """Jobs of the next ``JOBS_AT_ONCE`` behind the id ``after`` that say something else.

    Args:   days: from end to deletion; None: never.
    Returns: those, and the last id that was looked at; None behind the last.
    """
    rows = session.execute(
        select(JobRow.id, JobRow.ended_at, JobRow.expires_at)
        .where(JobRow.id > after)
        .order_by(JobRow.id)
        .limit(JOBS_AT_ONCE)
    ).all()
    marks = []
    for row in rows:
        expires = None
        if days is not None and row.ended_at is not None:
            expires = row.ended_at + timedelta(days=days)
        if expires != row.expires_at:
            marks.append(Mark(row.id, row.ended_at, expires))
    return marks, rows[-1].id if rows else None


def mark(session: Session, marks: Sequence[Mark]) -> None:
    """Write into jobs when they will be deleted, unless a retry has begun them again meanwhile."""
    for one in marks:
        session.execute(
            update(JobRow)
            .where(JobRow.id == one.job_id, JobRow.ended_at.is_not_distinct_from(one.ended_at))
            .values(expires_at=one.expires_at),
            execution_options={"synchronize_session": False},
        )


def expired(session: Session, before: datetime) -> str | None:
    """A job that ended before then; None when there is none."""
    return session.scalar(
        select(JobRow.id).where(_ended(before)).order_by(JobRow.ended_at).limit(1)
    )


def thin(session: Session, job_id: str, before: datetime) -> bool:
    """Delete a part of an expired job: the long rows of some of its prompts, or events.

    Returns: whether there was any; False too when the job has begun again or is gone.
    """
    if not _still(session, job_id, before):
        return False
    return _delete_rows(session, job_id) or _delete_events(session, job_id)


def remove(session: Session, job_id: str, before: datetime) -> bool:
    """Delete an expired job with all that is left of it. Returns: whether it was there."""
    return _still(session, job_id, before) and lifecycle.delete(session, job_id) is True


def with_candidates(session: Session, before: datetime) -> str | None:
    """A job that ended before then and still has candidates of prompts that are done."""
    held = (
        select(CandidateRow.sample)
        .join(
            PromptRow,
            (PromptRow.job_id == CandidateRow.job_id)
            & (PromptRow.prompt_id == CandidateRow.prompt_id),
        )
        .where(CandidateRow.job_id == JobRow.id, PromptRow.status.in_(DONE))
    )
    return session.scalar(select(JobRow.id).where(_ended(before), held.exists()).limit(1))


def remove_candidates(session: Session, job_id: str, before: datetime) -> bool:
    """Delete the candidates of some prompts. Returns: whether there were any."""
    if not _still(session, job_id, before):
        return False
    having = (
        select(CandidateRow.prompt_id)
        .join(
            PromptRow,
            (PromptRow.job_id == CandidateRow.job_id)
            & (PromptRow.prompt_id == CandidateRow.prompt_id),
        )
        .where(CandidateRow.job_id == job_id, PromptRow.status.in_(DONE))
        .distinct()
        .limit(PROMPTS_AT_ONCE)
    )
    ids = session.scalars(having).all()
    if ids:
        session.execute(
            delete(CandidateRow).where(
                CandidateRow.job_id == job_id, CandidateRow.prompt_id.in_(ids)
            ),
            execution_options={"synchronize_session": False},
        )
    return bool(ids)


def _ended(before: datetime) -> ColumnElement[bool]:
    return JobRow.status.in_(ENDED) & (JobRow.ended_at <= before)


def _still(session: Session, job_id: str, before: datetime) -> bool:
    """Whether the job, locked from here on, is one that ended before then."""
    job = lifecycle.lock(session, job_id)
    return (
        job is not None
        and job.status in ENDED
        and job.ended_at is not None
        and job.ended_at <= before
    )


def _delete_rows(session: Session, job_id: str) -> bool:
    for row in (CandidateRow, IterationRow):
        ids = session.scalars(
            select(row.prompt_id).where(row.job_id == job_id).distinct().limit(PROMPTS_AT_ONCE)
        ).all()
        if ids:
            session.execute(
                delete(row).where(row.job_id == job_id, row.prompt_id.in_(ids)),
                execution_options={"synchronize_session": False},
            )
            return True
    return False


def _delete_events(session: Session, job_id: str) -> bool:
    first = session.scalar(
        select(EventRow.seq).where(EventRow.job_id == job_id).order_by(EventRow.seq).limit(1)
    )
    if first is None:
        return False
    session.execute(
        delete(EventRow).where(EventRow.job_id == job_id, EventRow.seq < first + EVENTS_AT_ONCE),
        execution_options={"synchronize_session": False},
    )
    return True
