"""Jobs: taking one in, looking at them, and what users do to them."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from ulid import ULID

from db.columns import dumped
from db.lifecycle import cancel_requested, delete, project_of, request_cancel, retry, settle, status
from db.models import GroupRow, JobRow
from db.new_prompts import NewPrompts, insert_prompts
from db.session import now
from db.views import listing, view
from prelogit.core.errors import StoreError
from prelogit.wire.jobs import JobSettings
from prelogit.wire.keys import DEFAULT_PROJECT
from prelogit.wire.limits import pool_size
from prelogit.wire.priority import PRIORITIES

__all__ = [
    "Created",
    "IdempotencyConflictError",
    "cancel_requested",
    "create",
    "delete",
    "listing",
    "project_of",
    "request_cancel",
    "retry",
    "settle",
    "status",
    "view",
]


class IdempotencyConflictError(StoreError):
    """An idempotency key came a second time, with another body."""


class Created(NamedTuple):
    """The job of a request; ``existing`` when an earlier request with the same key made it."""

    job_id: str
    group_ids: list[str]
    existing: bool


def create(
    session: Session,
    request: JobSettings,
    prompts: NewPrompts,
    *,
    idempotency_key: str | None,
    body_hash: str,
    project: str = DEFAULT_PROJECT,
    key_id: str | None = None,
) -> Created:
    """Store a job, its prompts, its groups and one wake-up a group.

    Args:
        request: with everything filled in (``JobSettings.completed``).
        prompts: with their ids. They are grouped by length, so that those decoded together are
            alike.
        body_hash: tells a repeated request from another one with the same key.
        project: whose job it is; idempotency keys of other projects are others.
        key_id: the API key that posts it.
    Raises: IdempotencyConflictError.
    """
    idempotency_key = _of_project(idempotency_key, project)
    if idempotency_key is not None:
        existing = _existing(session, idempotency_key, body_hash)
        if existing is not None:
            return existing
    job_id = f"job_{ULID()}"
    time = now()
    try:
        # Two requests with one key may both have found nothing above: the unique key decides.
        with session.begin_nested():
            session.execute(
                insert(JobRow).values(
                    **_job_row(job_id, request, prompts),
                    created_at=time,
                    served_at=time,
                    idempotency_key=idempotency_key,
                    body_hash=body_hash,
                    project=project,
                    key_id=key_id,
                )
            )
    except IntegrityError:
        existing = _existing(session, idempotency_key, body_hash)
        if existing is None:
            raise StoreError("the job could not be stored: send it again") from None
        return existing
    group_ids = insert_prompts(
        session, job_id, prompts, group_size=_group_size(request, len(prompts.tokens))
    )
    return Created(job_id, group_ids, existing=False)


def _of_project(idempotency_key: str | None, project: str) -> str | None:
    """The key as it is stored, where the column is unique over all projects.

    A line break stands in no header, so no key of another project looks like it. Those of the
    default project stay as they were before there were projects.
    """
    if idempotency_key is None or project == DEFAULT_PROJECT:
        return idempotency_key
    return f"{project}\n{idempotency_key}"


def _existing(session: Session, key: str | None, body_hash: str) -> Created | None:
    row = session.execute(
        select(JobRow.id, JobRow.body_hash).where(JobRow.idempotency_key == key)
    ).one_or_none()
    if row is None:
        return None
    if row.body_hash != body_hash:
        raise IdempotencyConflictError(
            "this Idempotency-Key was used for another request: take a new key, or send the "
            "same body again"
        )
    groups = session.scalars(
        select(GroupRow.id).where(GroupRow.job_id == row.id).order_by(GroupRow.id)
    )
    return Created(row.id, list(groups), existing=True)


def _job_row(job_id: str, request: JobSettings, prompts: NewPrompts) -> dict[str, Any]:
    settings = request.model_dump(mode="json", by_alias=True, exclude={"prompts"})
    count = len(prompts.tokens)
    return {
        "id": job_id,
        "model": str(request.model),
        "priority": PRIORITIES.index(request.priority),
        "status": "queued",
        "request_bytes": len(dumped(settings)),  # those of its prompts are added with them
        "prompt_count": count,
        "rounds": request.rounds_of(count),
        "prompt_tokens": sum(prompts.tokens),
        "settings": settings,
    }


def _group_size(request: JobSettings, prompts: int) -> int:
    """Prompts that one worker claims together: b, or several times b in a large job.

    With more at hand the worker begins the next prompt wherever rows become free; at least
    eight groups remain, so that other workers can share the job. With a budget, those that share it.
    """
    batch_size = request.method.batch_size
    if request.budget is not None:
        return pool_size(prompts, batch_size)
    return batch_size * min(4, max(1, prompts // (8 * batch_size)))
