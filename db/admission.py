"""What the limits of an API key leave room for: prompts that run, and prompts that wait or run."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, func, select
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
        _running(select(func.count()).select_from(PromptRow), JobRow.key_id == key_id)
    )
    return max(0, limit - (running or 0))


def full_keys() -> Select[str]:
    """Keys of which as many prompts run as may."""
    of_key = JobRow.key_id == KeyRow.id
    running = _running(select(func.count()).select_from(PromptRow), of_key).scalar_subquery()
    return select(KeyRow.id).where(
        KeyRow.running_prompts.is_not(None), running >= KeyRow.running_prompts
    )


def freed(session: Session, key_id: str | None) -> None:
    """A prompt of this key has ended: wake, for each model, the group that is to have its place."""
    if key_id is None or _limit(session, key_id) is None:
        return
    first: dict[str, str] = {}
    for job_id, model in _waiting(session, key_id):
        first.setdefault(model, job_id)
    for job_id in first.values():
        _wake_job(session, job_id)


def _wake_job(session: Session, job_id: str) -> None:
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
    queued = select(PromptRow.index).where(
        PromptRow.job_id == JobRow.id, PromptRow.status == "queued"
    )
    rows = session.execute(
        select(JobRow.id, JobRow.model)
        .where(JobRow.key_id == key_id, JobRow.status.in_(("queued", "running")), queued.exists())
        .order_by(JobRow.priority, JobRow.served_at, JobRow.id)
        .limit(JOBS_LOOKED_AT)
    )
    return [(row.id, row.model) for row in rows]


def hold(session: Session, key_id: str) -> None:
    """Lock a key, so that what is counted of it stays so until the transaction ends."""
    session.execute(select(KeyRow.id).where(KeyRow.id == key_id).with_for_update())


def unfinished(session: Session, key_id: str) -> int:
    """How many prompts of a key's jobs wait or run."""
    found = session.scalar(
        _of_open_jobs(select(func.count()).select_from(PromptRow), JobRow.key_id == key_id).where(
            PromptRow.status.in_(("queued", "running"))
        )
    )
    return found or 0


def _limit(session: Session, key_id: str | None) -> int | None:
    if key_id is None:
        return None
    return session.scalar(select(KeyRow.running_prompts).where(KeyRow.id == key_id))


def _running(prompts: Select[int], of_key: ColumnElement[bool]) -> Select[int]:
    """Those of a key that run, and whose worker is not known to have died."""
    return _of_open_jobs(prompts, of_key).where(
        PromptRow.status == "running", PromptRow.lease_expires_at >= now()
    )


def _of_open_jobs(prompts: Select[int], of_key: ColumnElement[bool]) -> Select[int]:
    return prompts.join(JobRow, JobRow.id == PromptRow.job_id).where(
        of_key, JobRow.status.in_(_ACTIVE)
    )
