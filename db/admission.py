"""What the limits of an API key leave room for: prompts that run, and prompts that wait or run."""

from __future__ import annotations

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db.lifecycle import wake
from db.models import GroupRow, JobRow, KeyRow, PromptRow
from db.session import now

JOBS_LOOKED_AT = 200
_ACTIVE = ("queued", "running", "cancelling")


def room(session: Session, key_id: str | None) -> int | None:
    """How many more prompts of a key's jobs may run now; None: any number.

    Locks the key until the transaction ends: of two claims the second counts what the first took.
    The lock comes after a job's and before a group's.
    """
    limit = _limit(session, key_id)
    if limit is None:
        return None
    hold(session, str(key_id))
    running = session.scalar(
        _prompts(key_id).where(PromptRow.status == "running", PromptRow.lease_expires_at >= now())
    )
    return max(0, limit - (running or 0))


def turn(session: Session, key_id: str, model: str) -> str | None:
    """The job of a key that is to have the next place of those for this model; None without any.

    The one of which the fewest prompts were begun: a short job does not wait for a long one.
    """
    return next((job_id for job_id, of in _waiting(session, key_id) if of == model), None)


def freed(session: Session, key_id: str | None) -> None:
    """A prompt of this key has ended: wake, for each model, the group that is to have its place."""
    if key_id is None or _limit(session, key_id) is None:
        return
    first: dict[str, str] = {}
    for job_id, model in _waiting(session, key_id):
        first.setdefault(model, job_id)
    for job_id in first.values():
        wake_job(session, job_id)


def wake_job(session: Session, job_id: str) -> None:
    """Wake the group of a job that has waited for longest. Waits for no other transaction."""
    queued = select(PromptRow.index).where(
        PromptRow.group_id == GroupRow.id, PromptRow.status == "queued"
    )
    group_id = session.scalar(
        select(GroupRow.id)
        .where(GroupRow.job_id == job_id, queued.exists())
        .order_by(GroupRow.woken_at, GroupRow.id)
        .limit(1)
        .with_for_update(of=GroupRow, skip_locked=True)
    )
    if group_id is not None:
        wake(session, [group_id])


def _waiting(session: Session, key_id: str) -> list[tuple[str, str]]:
    """Jobs of a key with prompts that wait, and their models, in the order of their turns."""
    queued = (
        select(func.count())
        .select_from(PromptRow)
        .where(PromptRow.job_id == JobRow.id, PromptRow.status == "queued")
    ).scalar_subquery()
    rows = session.execute(
        select(JobRow.id, JobRow.settings)
        .where(JobRow.key_id == key_id, JobRow.status.in_(("queued", "running")), queued > 0)
        .order_by(JobRow.prompt_count - queued, JobRow.id)
        .limit(JOBS_LOOKED_AT)
    )
    return [(row.id, row.settings["model"]) for row in rows]


def hold(session: Session, key_id: str) -> None:
    """Lock a key, so that what is counted of it stays so until the transaction ends."""
    session.execute(select(KeyRow.id).where(KeyRow.id == key_id).with_for_update())


def unfinished(session: Session, key_id: str) -> int:
    """How many prompts of a key's jobs wait or run."""
    found = session.scalar(_prompts(key_id).where(PromptRow.status.in_(("queued", "running"))))
    return found or 0


def _limit(session: Session, key_id: str | None) -> int | None:
    if key_id is None:
        return None
    return session.scalar(select(KeyRow.running_prompts).where(KeyRow.id == key_id))


def _prompts(key_id: str | None) -> Select[int]:
    """Counts prompts of the key's jobs that have not ended."""
    return (
        select(func.count())
        .select_from(PromptRow)
        .join(JobRow, JobRow.id == PromptRow.job_id)
        .where(JobRow.key_id == key_id, JobRow.status.in_(_ACTIVE))
    )
