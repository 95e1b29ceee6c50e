"""Leases: who works on which prompts, until when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from db import admission, deliveries, ending, events
from db.holding import Claim, ClaimedPrompt, held, held_ids
from db.lifecycle import lock, settle, wake
from db.models import GroupRow, JobRow, PromptRow
from db.session import now
from prelogit.core.errors import LeaseLostError
from prelogit.wire.jobs import JobRequest

__all__ = [
    "MAX_ATTEMPTS",
    "Claim",
    "ClaimedPrompt",
    "LeaseLostError",
    "claim",
    "hold",
    "reap",
    "release",
    "renew",
]

# Prompts whose workers died this often are claimed one at a time, to find the one at fault: one
# more, which it then had to itself, proves it.
SUSPECT_ATTEMPTS = 2
MAX_ATTEMPTS = SUSPECT_ATTEMPTS + 1


def claim(
    session: Session,
    group_id: str,
    *,
    owner: str,
    model: str,
    ttl_seconds: float,
    max_attempts: int = MAX_ATTEMPTS,
) -> Claim | None:
    """Lease a group's prompts that are queued, or whose lease is over.

    Whose turn it is, ``turns.claim`` decides. Only with the model that the job asks for: a wake-up that went astray leaves the group to a
    worker that has it.

    A prompt that was claimed ``max_attempts`` times in a row without a trace row or an end
    fails with that reason: its worker died over it each time. No more are leased than the
    limits of the key leave room for that posted the job. None when nothing is to be had.
    """
    job = _job_of(session, group_id)
    if job is None or job.status not in ("queued", "running") or job.settings["model"] != model:
        return None
    room = admission.room(session, job.key_id)
    time = now()
    claimable = session.scalars(
        select(PromptRow)
        .where(
            PromptRow.group_id == group_id,
            or_(
                PromptRow.status == "queued",
                (PromptRow.status == "running") & (PromptRow.lease_expires_at < time),
            ),
        )
        .order_by(PromptRow.index)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    poisoned = [prompt for prompt in claimable if prompt.attempt >= max_attempts]
    for prompt in poisoned:
        ending.end(session, job, prompt, "failed", error=_poison(max_attempts))
    if poisoned:
        settle(session, job.id)
    rest = [prompt for prompt in claimable if prompt.attempt < max_attempts]
    if room == 0:
        return None  # woken again when a prompt of the key ends
    chosen = _chosen(rest)
    taken = chosen[:room]
    if len(chosen) < len(rest) and (room is None or len(taken) < room):
        wake(session, [group_id])
    if not taken:
        return None
    claimed = Claim(
        job_id=job.id,
        group_id=group_id,
        owner=owner,
        request=JobRequest.model_validate(
            {**job.settings, "prompts": [prompt.item for prompt in taken]}
        ),
        prompts=tuple(
            ClaimedPrompt(p.prompt_id, p.index, p.fence + 1, p.attempt + 1) for p in taken
        ),
    )
    _change(
        session,
        job.id,
        [prompt.prompt_id for prompt in taken],
        status="running",
        lease_owner=owner,
        lease_expires_at=time + timedelta(seconds=ttl_seconds),
        fence=PromptRow.fence + 1,
        attempt=PromptRow.attempt + 1,
    )
    begun = {"status": "running", "started_at": job.started_at or time}
    session.execute(
        update(JobRow)
        .where(JobRow.id == job.id)
        .values(served_at=time, **(begun if job.status == "queued" else {})),
        execution_options={"synchronize_session": False},
    )
    if job.status == "queued":
        events.append(session, job.id, "job", {"id": job.id, "status": "running"})
        deliveries.job_event(session, job.id, "job.started")
    return claimed


def hold(session: Session, claim: Claim, prompt_id: str) -> None:
    """Lock a claimed prompt for a write. Raises LeaseLostError when it is another's now."""
    held(session, claim, prompt_id)


def renew(session: Session, claim: Claim, *, ttl_seconds: float) -> frozenset[str]:
    """Extend the leases of a claim; returns the prompts still held, all others are lost."""
    kept = held_ids(session, claim)
    expires = now() + timedelta(seconds=ttl_seconds)
    _change(session, claim.job_id, kept, lease_expires_at=expires)
    return frozenset(kept)


def release(session: Session, claim: Claim, prompt_ids: Collection[str]) -> int:
    """Give prompts back unfinished, for another worker to go on with; lost ones are left alone.

    Not an attempt that counts: the worker stops on purpose. In a job that is being cancelled
    they end instead, with their best so far. Returns how many ended.
    """
    kept = [prompt_id for prompt_id in held_ids(session, claim) if prompt_id in prompt_ids]
    job = lock(session, claim.job_id)
    if job is None or not kept:
        return 0
    if job.status == "cancelling":
        _cancel(session, job, kept)
        return len(kept)
    _change(
        session,
        claim.job_id,
        kept,
        status="queued",
        lease_owner=None,
        lease_expires_at=None,
        attempt=PromptRow.attempt - 1,
    )
    wake(session, [claim.group_id])
    return 0


def reap(session: Session) -> None:
    """End what died while its job was being cancelled: running prompts whose lease is over."""
    cancelling = session.scalars(
        select(JobRow.id).where(JobRow.status == "cancelling").order_by(JobRow.id)
    ).all()
    for job_id in cancelling:
        job = lock(session, job_id)
        if job is None or job.status != "cancelling":
            continue
        dead = session.scalars(
            select(PromptRow.prompt_id).where(
                PromptRow.job_id == job_id,
                PromptRow.status == "running",
                PromptRow.lease_expires_at < now(),
            )
        ).all()
        _cancel(session, job, dead)


def _job_of(session: Session, group_id: str) -> JobRow | None:
    job_id = session.scalar(select(GroupRow.job_id).where(GroupRow.id == group_id))
    return None if job_id is None else lock(session, job_id)


def _chosen(claimable: Sequence[PromptRow]) -> list[PromptRow]:
    """All prompts together, unless some killed their workers: then the others, then one by one."""
    suspects = [prompt for prompt in claimable if prompt.attempt >= SUSPECT_ATTEMPTS]
    others = [prompt for prompt in claimable if prompt.attempt < SUSPECT_ATTEMPTS]
    if others or not suspects:
        return others
    return [min(suspects, key=lambda prompt: (prompt.attempt, prompt.index))]


def _poison(attempts: int) -> str:
    return (
        f"the worker stopped {attempts} times over this prompt without finishing a round: its "
        "memory may not suffice (lower n, batch_size or max_new_tokens), then retry the job"
    )


def _cancel(session: Session, job: JobRow, prompt_ids: Sequence[str]) -> None:
    prompts = session.scalars(
        select(PromptRow)
        .where(PromptRow.job_id == job.id, PromptRow.prompt_id.in_(prompt_ids))
        .order_by(PromptRow.index)
        .execution_options(populate_existing=True)
    ).all()
    for prompt in prompts:
        ending.end(session, job, prompt, "cancelled")
    settle(session, job.id)


def _change(session: Session, job_id: str, prompt_ids: Sequence[str], **values: Any) -> None:
    session.execute(
        update(PromptRow)
        .where(PromptRow.job_id == job_id, PromptRow.prompt_id.in_(prompt_ids))
        .values(**values),
        execution_options={"synchronize_session": False},
    )
