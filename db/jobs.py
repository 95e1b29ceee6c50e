"""Jobs: taking one in, looking at them, and what users do to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from ulid import ULID

from db.columns import dumped
from db.lifecycle import cancel_requested, delete, project_of, request_cancel, retry, settle, status
from db.models import GroupRow, JobRow, PromptRow, WakeupRow
from db.session import now
from db.views import listing, view
from prelogit.core.errors import StoreError
from prelogit.wire.jobs import JobRequest, PromptItem
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
    request: JobRequest,
    *,
    token_counts: Mapping[str, int],
    idempotency_key: str | None,
    body_hash: str,
    project: str = DEFAULT_PROJECT,
    key_id: str | None = None,
) -> Created:
    """Store a job, its prompts, its groups and one wake-up a group.

    Args:
        request: with everything filled in (``JobRequest.filled``).
        token_counts: tokens of each prompt, by prompt id. Prompts are grouped by length, so
            that those decoded together are alike.
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
    items = [item for item in request.prompts if isinstance(item, PromptItem) and item.id]
    if len(items) != len(request.prompts):
        raise StoreError("prompts without ids cannot be stored: fill the request in first")
    time = now()
    try:
        # Two requests with one key may both have found nothing above: the unique key decides.
        with session.begin_nested():
            session.execute(
                insert(JobRow).values(
                    **_job_row(job_id, request, items, token_counts),
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
    group_ids = _insert_prompts(session, job_id, request, items, token_counts, time)
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


def _job_row(
    job_id: str,
    request: JobRequest,
    items: list[PromptItem],
    token_counts: Mapping[str, int],
) -> dict[str, Any]:
    body = request.model_dump(mode="json", by_alias=True)
    size = len(dumped(body))
    del body["prompts"]
    return {
        "id": job_id,
        "model": str(request.model),
        "priority": PRIORITIES.index(request.priority),
        "status": "queued",
        "request_bytes": size,
        "prompt_count": len(items),
        "rounds": request.rounds,
        "prompt_tokens": sum(token_counts[str(item.id)] for item in items),
        "settings": body,
    }


def _group_size(request: JobRequest, prompts: int) -> int:
    """Prompts that one worker claims together: b, or several times b in a large job.

    With more at hand the worker begins the next prompt wherever rows become free; at least
    eight groups remain, so that other workers can share the job. With a budget, those that share it.
    """
    batch_size = request.method.batch_size
    if request.budget is not None:
        return pool_size(prompts, batch_size)
    return batch_size * min(4, max(1, prompts // (8 * batch_size)))


def _insert_prompts(
    session: Session,
    job_id: str,
    request: JobRequest,
    items: list[PromptItem],
    token_counts: Mapping[str, int],
    time: datetime,
) -> list[str]:
    order = sorted(range(len(items)), key=lambda place: token_counts[str(items[place].id)])
    size = _group_size(request, len(items))
    groups = {f"grp_{ULID()}": order[at : at + size] for at in range(0, len(order), size)}
    session.execute(
        insert(GroupRow),
        [{"id": group, "job_id": job_id, "woken_at": time} for group in groups],
    )
    session.execute(
        insert(PromptRow),
        [
            {
                "job_id": job_id,
                "prompt_id": items[place].id,
                "index": place,
                "group_id": group,
                "status": "queued",
                "prompt_tokens": token_counts[str(items[place].id)],
                "item": items[place].model_dump(mode="json"),
            }
            for group, places in groups.items()
            for place in places
        ],
    )
    session.execute(insert(WakeupRow), [{"group_id": group} for group in groups])
    return list(groups)
