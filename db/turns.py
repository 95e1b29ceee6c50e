"""Whose turn it is: what a worker gets that was woken.

A wake-up says no more than that something waits. What is claimed, the store decides at that
moment, so that the order in which jobs were put on the queue does not matter.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, func, literal_column, or_, select
from sqlalchemy.orm import Session

from db import admission, leases
from db.holding import Claim
from db.lifecycle import lock, wake
from db.models import GroupRow, JobRow, PromptRow
from db.outbox import abandoned_prompts
from db.session import now

# A job that was served between a look and its lock gives way to the next one so often, but once.
TRIES = 8


def claim(
    session: Session, named: str, *, owner: str, model: str, ttl_seconds: float
) -> Claim | None:
    """Lease the prompts of the group whose turn it is; None when nothing is to be had.

    First what a dead worker left: the group that the wake-up names, or one that ``outbox.due``
    has found. Else a group of the job whose turn it is: of those of the highest priority the one
    that has waited longest since a group of it was claimed. Jobs of keys that may have no more
    prompts running are passed over.
    """
    left = _left(session, named, model)
    if left is not None:
        claimed = leases.claim(session, left, owner=owner, model=model, ttl_seconds=ttl_seconds)
        if claimed is None:
            wake(session, [left])  # somebody was faster: something else may wait
        return claimed
    turn = _turn(session, model)
    for tries in range(1, TRIES + 1):
        if turn is None:
            return None
        place, held = session.begin_nested(), turn.job_id
        turn = _locked(session, turn, model, gives_way=tries < TRIES)
        if turn is not None and turn.job_id == held:
            claimed = leases.claim(
                session, turn.group_id, owner=owner, model=model, ttl_seconds=ttl_seconds
            )
            if claimed is None:
                wake(session, [turn.group_id])  # it was cancelled, or its key has no more room
            place.commit()
            return claimed
        place.rollback()  # one job's lock at a time, or two claims wait for each other
    if turn is not None:
        wake(session, [turn.group_id])
    return None


class _Turn(NamedTuple):
    job_id: str
    group_id: str
    served_at: datetime


def _turn(session: Session, model: str, job_id: str | None = None) -> _Turn | None:
    """The job whose turn it is, or this one, and the first of its groups with prompts that wait."""
    query = turn_query(model)
    if job_id is not None:
        query = query.where(JobRow.id == job_id)
    found = session.execute(query).first()
    return None if found is None else _Turn(found.id, found.group_id, found.served_at)


def _locked(session: Session, turn: _Turn, model: str, *, gives_way: bool) -> _Turn | None:
    """Lock the job; whose turn it is then: perhaps another's, where it was served meanwhile."""
    job = lock(session, turn.job_id)
    if job is not None and job.served_at == turn.served_at:
        return turn
    own = None if gives_way else _turn(session, model, turn.job_id)
    return own or _turn(session, model)


def turn_query(model: str) -> Select[tuple[str, datetime, str]]:
    """Walks along ``ix_jobs_turn`` and looks once into ``ix_prompts_status`` for each job."""
    waits = (
        select(func.min(PromptRow.group_id))
        .where(PromptRow.job_id == JobRow.id, PromptRow.status == "queued")
        .scalar_subquery()
    )
    return (
        select(JobRow.id, JobRow.served_at, waits.label("group_id"))
        .where(*_admitted(model), waits.is_not(None))
        .order_by(JobRow.priority, JobRow.served_at, JobRow.id)
        .limit(1)
    )


def _left(session: Session, named: str, model: str) -> str | None:
    """A group that a dead worker has left."""
    groups = (
        select(GroupRow.id)
        .join(JobRow, JobRow.id == GroupRow.job_id)
        .where(*_admitted(model), abandoned_prompts(now()).exists())
        .limit(1)
    )
    left = groups.where(GroupRow.left_at.is_not(None)).order_by(JobRow.priority, GroupRow.left_at)
    return session.scalar(groups.where(GroupRow.id == named)) or session.scalar(left)


def _admitted(model: str) -> tuple[ColumnElement[bool], ...]:
    """Jobs for this model that may have more prompts running."""
    return (
        JobRow.model == model,
        # Spelt out, for a partial index is used only where its own condition stands.
        JobRow.status.in_((literal_column("'queued'"), literal_column("'running'"))),
        or_(JobRow.key_id.is_(None), JobRow.key_id.not_in(admission.full_keys())),
    )
