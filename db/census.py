"""How much there is to do, and who is there to do it: counted for operators."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import presence
from db.models import DeliveryRow, JobRow, PromptRow, WakeupRow
from db.session import now
from prelogit.wire.jobs import ENDED


class Census(NamedTuple):
    """Of jobs that have not ended; a job's model is the name that it was posted with.

    jobs: by status. prompts: by model and status; those that ended are among them.
    longest_waiting: by model, of the jobs with queued prompts that which waits longest for its turn:
    seconds since it was posted or retried, or a worker took prompts of it.
    unsent: wake-ups in the outbox. workers: by model, those heard of lately.
    deliveries: events that webhooks are still to be told of; oldest_delivery: seconds since the
    first of them happened, 0 without any.
    """

    jobs: dict[str, int]
    prompts: dict[tuple[str, str], int]
    longest_waiting: dict[str, float]
    unsent: int
    workers: dict[str, int]
    deliveries: int
    oldest_delivery: float


def take(session: Session, *, silence_seconds: float) -> Census:
    """Count. The ended jobs, by far the most, are left alone.

    Args: silence_seconds: a worker that was not heard of for so long counts as gone.
    """
    time = now()
    open_jobs = JobRow.status.not_in(sorted(ENDED))
    jobs = {
        row.id: row
        for row in session.execute(
            select(JobRow.id, JobRow.status, JobRow.model, JobRow.served_at).where(open_jobs)
        )
    }
    prompts: Counter[tuple[str, str]] = Counter()
    waiting: dict[str, float] = {}
    counts = select(PromptRow.job_id, PromptRow.status, func.count().label("prompts")).where(
        PromptRow.job_id.in_(select(JobRow.id).where(open_jobs))
    )
    for job_id, status, found in session.execute(
        counts.group_by(PromptRow.job_id, PromptRow.status)
    ):
        job = jobs[job_id]
        prompts[job.model, status] += found
        if status == "queued":
            waited = (time - job.served_at).total_seconds()
            waiting[job.model] = max(waited, waiting.get(job.model, 0.0))
    deliveries, first = session.execute(
        select(func.count(), func.min(DeliveryRow.created_at)).where(
            DeliveryRow.due_at.is_not(None)
        )
    ).one()
    return Census(
        jobs=dict(Counter(job.status for job in jobs.values())),
        prompts=dict(prompts),
        longest_waiting=waiting,
        unsent=session.scalar(select(func.count()).select_from(WakeupRow)) or 0,
        workers=dict(Counter(one.model for one in presence.alive(session, silence_seconds))),
        deliveries=deliveries,
        oldest_delivery=0.0 if first is None else max(0.0, (time - first).total_seconds()),
    )
