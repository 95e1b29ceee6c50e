"""How a job's state follows from its prompts, and what users do to it: cancel, retry, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from db import deliveries, events
from db.models import (
    CandidateRow,
    GroupRow,
    IterationRow,
    JobRow,
    PromptRow,
    ResultRow,
    WakeupRow,
)
from db.session import now
from prelogit.core.errors import InputError, StoreError
from prelogit.wire.jobs import ENDED
from prelogit.wire.problem import FieldProblem, Problem

SHOWN_ERRORS = 10


def lock(session: Session, job_id: str) -> JobRow | None:
    """The job's row, locked until the transaction ends; None when there is no such job.

    Every transaction that writes a job's rows takes this lock first: one order, no deadlock,
    and no state that changes between a look and a write.
    """
    return session.scalar(
        select(JobRow)
        .where(JobRow.id == job_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def status(session: Session, job_id: str) -> str | None:
    """The job's status, or None for an unknown job."""
    return session.scalar(select(JobRow.status).where(JobRow.id == job_id))


def project_of(session: Session, job_id: str) -> str | None:
    """Whose job it is, or None for an unknown job."""
    return session.scalar(select(JobRow.project).where(JobRow.id == job_id))


def cancel_requested(session: Session, job_id: str) -> bool:
    """Whether a worker should stop: the job is cancelled or being so, or it was deleted."""
    return status(session, job_id) in ("cancelling", "cancelled", None)


def request_cancel(session: Session, job_id: str) -> bool | None:
    """Ask a job to stop; its queued prompts are cancelled at once.

    Returns True, False when it had ended or was being cancelled already, None when unknown.
    """
    job = lock(session, job_id)
    if job is None:
        return None
    if job.status == "cancelling" or job.status in ENDED:
        return False
    _set(session, job_id, cancel_requested_at=now())
    settle(session, job_id)
    return True


def retry(session: Session, job_id: str) -> list[str] | None:
    """Queue a job's failed and cancelled prompts again.

    A cancelled prompt keeps its trace and goes on from there; a failed one starts afresh.
    Returns the groups to wake, [] when nothing is left to do, None for an unknown job.
    Raises InputError while the job runs.
    """
    job = lock(session, job_id)
    if job is None:
        return None
    if job.status not in ENDED:
        raise InputError(
            f"the job is still {job.status}: cancel it or wait until it has ended, then retry"
        )
    again = (PromptRow.job_id == job_id) & PromptRow.status.in_(("failed", "cancelled"))
    group_ids = list(
        session.scalars(select(PromptRow.group_id).where(again).group_by(PromptRow.group_id))
    )
    if not group_ids:
        return []
    failed = select(PromptRow.prompt_id).where(
        PromptRow.job_id == job_id, PromptRow.status == "failed"
    )
    for row in (IterationRow, CandidateRow):
        session.execute(
            delete_from(row).where(row.job_id == job_id, row.prompt_id.in_(failed)),
            execution_options={"synchronize_session": False},
        )
    session.execute(
        delete_from(ResultRow).where(
            ResultRow.job_id == job_id,
            ResultRow.prompt_id.in_(select(PromptRow.prompt_id).where(again)),
        ),
        execution_options={"synchronize_session": False},
    )
    fresh: dict[str, Any] = {"rounds_done": 0, "window": None, "dim": None}
    _set_prompts(session, job_id, "failed", **fresh, status="queued", error=None, attempt=0)
    _set_prompts(session, job_id, "cancelled", status="queued", error=None, attempt=0)
    wake(session, group_ids)
    _set(
        session,
        job_id,
        status="queued",
        served_at=now(),
        started_at=None,
        ended_at=None,
        expires_at=None,
        cancel_requested_at=None,
        error=None,
    )
    events.append(session, job_id, "job", {"id": job_id, "status": "queued"})
    return group_ids


def delete(session: Session, job_id: str) -> bool | None:
    """Delete an ended job with all that hangs below it.

    Returns True, False when it has not ended, None when unknown.
    """
    job = lock(session, job_id)
    if job is None:
        return None
    if job.status not in ENDED:
        return False
    session.execute(
        delete_from(JobRow).where(JobRow.id == job_id),
        execution_options={"synchronize_session": False},
    )
    session.expunge(job)
    return True


def settle(session: Session, job_id: str) -> str:
    """Bring the job's status in line with its prompts; write an event when it changes.

    Returns the status. Raises StoreError for an unknown job.
    """
    job = lock(session, job_id)
    if job is None:
        raise StoreError(f"there is no job {job_id}: it was deleted")
    cancelling = job.cancel_requested_at is not None
    if cancelling:
        _set_prompts(session, job_id, "queued", status="cancelled")
    if _has_open(session, job_id):
        found = "cancelling" if cancelling else job.status
    else:
        counts = _counts(session, job_id)
        found = verdict(counts, cancelling=cancelling)
    if found == job.status:
        return found
    changes: dict[str, Any] = {"status": found}
    if found in ENDED:
        changes |= {"ended_at": now(), "error": _problem(session, job, found)}
    _set(session, job_id, **changes)
    events.append(session, job_id, "job", {"id": job_id, "status": found})
    if found in ENDED:
        deliveries.job_event(session, job_id, "job.ended")
    return found


def verdict(counts: Mapping[str, int], *, cancelling: bool) -> str:
    """The status of a job all of whose prompts have ended, from their number by status."""
    succeeded, failed = counts.get("succeeded", 0), counts.get("failed", 0)
    if succeeded and succeeded == sum(counts.values()):
        return "succeeded"  # a cancel that came too late has stopped nothing
    if cancelling:
        return "cancelled"
    if succeeded:
        return "partial"
    return "failed" if failed else "cancelled"


def wake(session: Session, group_ids: list[str]) -> None:
    """Put a wake-up for each group into the outbox."""
    time = now()
    session.execute(update(GroupRow), [{"id": group, "woken_at": time} for group in group_ids])
    session.execute(insert(WakeupRow), [{"group_id": group} for group in group_ids])


def _set(session: Session, job_id: str, **values: Any) -> None:
    session.execute(
        update(JobRow).where(JobRow.id == job_id).values(**values),
        execution_options={"synchronize_session": False},
    )


def _set_prompts(session: Session, job_id: str, having: str, **values: Any) -> None:
    session.execute(
        update(PromptRow)
        .where(PromptRow.job_id == job_id, PromptRow.status == having)
        .values(**values),
        execution_options={"synchronize_session": False},
    )


def _has_open(session: Session, job_id: str) -> bool:
    query = select(PromptRow.index).where(
        PromptRow.job_id == job_id, PromptRow.status.in_(("queued", "running"))
    )
    return session.scalar(query.limit(1)) is not None


def _counts(session: Session, job_id: str) -> dict[str, int]:
    rows = session.execute(
        select(PromptRow.status, func.count().label("number"))
        .where(PromptRow.job_id == job_id)
        .group_by(PromptRow.status)
    )
    return {row.status: row.number for row in rows}


def _problem(session: Session, job: JobRow, found: str) -> dict[str, Any] | None:
    failed = session.execute(
        select(PromptRow.prompt_id, PromptRow.error)
        .where(PromptRow.job_id == job.id, PromptRow.status == "failed")
        .order_by(PromptRow.index)
        .limit(SHOWN_ERRORS)
    ).all()
    if not failed:
        return None
    count = _counts(session, job.id)["failed"]
    shown = "" if count <= SHOWN_ERRORS else f" (the first {SHOWN_ERRORS} are listed)"
    return Problem(
        title="Every prompt failed" if count == job.prompt_count else "Some prompts failed",
        status=500,
        detail=f"{count} of {job.prompt_count} prompts failed{shown}: see errors for the "
        "reasons, remove them, and retry the job.",
        errors=[
            FieldProblem(field=f"prompts.{prompt_id}", message=str(error))
            for prompt_id, error in failed
        ],
    ).model_dump(mode="json")
