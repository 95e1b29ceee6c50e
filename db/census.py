"""How much there is to do, and who is there to do it: counted for operators."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import MutableMapping
from datetime import datetime
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
    oldest_waiting: by model, seconds since the post of the oldest job with a queued prompt.
    unsent: wake-ups in the outbox. workers: by model, those heard of lately.
    deliveries: events that webhooks are still to be told of; oldest_delivery: seconds since the
    first of them happened, 0 without any.
    """

    jobs: dict[str, int]
    prompts: dict[tuple[str, str], int]
    oldest_waiting: dict[str, float]
    unsent: int
    workers: dict[str, int]
    deliveries: int
    oldest_delivery: float


def take(
    session: Session, *, silence_seconds: float, models: MutableMapping[str, str] | None = None
) -> Census:
    """Count. The ended jobs, by far the most, are left alone.

    Args:
        silence_seconds: a worker that was not heard of for so long counts as gone.
        models: the models of jobs that were counted before, by id; kept up to date, so that no
            job's request is read twice.
    """
    known: MutableMapping[str, str] = {} if models is None else models
    open_jobs = JobRow.status.not_in(sorted(ENDED))
    jobs = session.execute(select(JobRow.id, JobRow.status, JobRow.created_at).where(open_jobs))
    posted: dict[str, datetime] = {}
    by_status: Counter[str] = Counter()
    for row in jobs:
        posted[row.id] = row.created_at
        by_status[row.status] += 1
    _learn(session, known, posted)
    prompts: Counter[tuple[str, str]] = Counter()
    waiting: dict[str, list[datetime]] = defaultdict(list)
    counts = select(PromptRow.job_id, PromptRow.status, func.count().label("prompts")).where(
        PromptRow.job_id.in_(select(JobRow.id).where(open_jobs))
    )
    for job_id, status, found in session.execute(
        counts.group_by(PromptRow.job_id, PromptRow.status)
    ):
        model = known[job_id]
        prompts[model, status] += found
        if status == "queued":
            waiting[model].append(posted[job_id])
    time = now()
    deliveries, first = session.execute(
        select(func.count(), func.min(DeliveryRow.created_at)).where(
            DeliveryRow.due_at.is_not(None)
        )
    ).one()
    return Census(
        jobs=dict(by_status),
        prompts=dict(prompts),
        oldest_waiting={
            model: max(0.0, (time - min(times)).total_seconds()) for model, times in waiting.items()
        },
        unsent=session.scalar(select(func.count()).select_from(WakeupRow)) or 0,
        workers=dict(Counter(one.model for one in presence.alive(session, silence_seconds))),
        deliveries=deliveries,
        oldest_delivery=0.0 if first is None else max(0.0, (time - first).total_seconds()),
    )


def _learn(
    session: Session, known: MutableMapping[str, str], posted: MutableMapping[str, datetime]
) -> None:
    """Forget the models of jobs that have ended, and read those of new ones."""
    for job_id in [job_id for job_id in known if job_id not in posted]:
        del known[job_id]
    new = [job_id for job_id in posted if job_id not in known]
    for at in range(0, len(new), 500):
        rows = select(JobRow.id, JobRow.settings).where(JobRow.id.in_(new[at : at + 500]))
        known.update((row.id, row.settings["model"]) for row in session.execute(rows))
