"""What can be done with a job, one transaction each."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

import anyio
from fastapi import Request
from sqlalchemy.orm import Session

from api.deps import Gateway
from api.errors import ProblemError, invalid, missing, refused
from api.jobs.posted import Posted
from api.jobs.request import body_hash, check_job
from api.keys.caller import Caller
from api.keys.quota import check_quota, check_size
from db import admission, contexts, jobs
from db.lifecycle import lock
from db.new_prompts import NewPrompts
from db.session import reading
from prelogit.core.errors import InputError
from prelogit.telemetry.place import enter
from prelogit.telemetry.tracing import entered, open_span, traceparent
from prelogit.wire.jobs import ENDED, Job

log = logging.getLogger("prelogit.api.jobs")

LONGEST_POLL_SECONDS = 1.0


class Changed(NamedTuple):
    """A job after a request to change it; ``changed`` is False when it already was so."""

    job: Job
    changed: bool


def found(job: Job | None, job_id: str) -> Job:
    """The job. Raises ProblemError 404 when there is none."""
    if job is None:
        raise missing(f"job {job_id}")
    return job


def submit(posted: Posted, key: str | None, caller: Caller, here: Gateway) -> Job:
    """Stores a job of the caller's project with its prompts and wake-ups, then has the wake-ups sent.

    Raises: ProblemError: 422 with everything that is wrong, 429 beyond what the key may have.
    """
    checked = check_job(posted, here)
    settings = checked.settings
    if checked.problems or settings is None:
        raise refused(checked.problems)
    key_id = None
    if caller.key is not None:
        key_id = caller.key.id
        check_size(len(checked.roll), caller.key.unfinished_prompts)
    # Of no use without a key; before the transaction, which others may have to wait for.
    meant = "" if key is None else body_hash(settings, checked.items())
    try:
        with entered(open_span("job accepted")) as span, here.store.begin() as session:
            if key_id is not None:
                admission.hold(session, key_id)
            created = jobs.create(
                session,
                settings,
                NewPrompts(checked.roll.tokens, checked.items),
                idempotency_key=key,
                body_hash=meant,
                project=caller.project,
                key_id=key_id,
            )
            if not created.existing:
                check_quota(session, key_id)
                contexts.remember(session, created.group_ids, traceparent())
            if span is not None:
                span.set_attribute("prelogit.job", created.job_id)
    except jobs.IdempotencyConflictError as error:
        raise invalid("Idempotency-Key", str(error)) from error
    enter(job=created.job_id)
    if not created.existing:
        here.publisher.nudge()
        log.info(
            "accepted job=%s prompts=%d model=%s",
            *(created.job_id, len(checked.roll), settings.model),
        )
    return look(created.job_id, here)


def look(job_id: str, here: Gateway) -> Job:
    """The job as it is now."""
    with reading(here.store) as session:
        return found(jobs.view(session, job_id), job_id)


async def wait(job_id: str, seconds: float, request: Request, here: Gateway) -> Job:
    """The job once its status is another than now, or has ended, or the time is over."""

    def status(session: Session) -> str | None:
        return jobs.status(session, job_id)

    until = time.monotonic() + seconds
    first = await here.look(status) if seconds > 0 else None
    pause = here.settings.poll_seconds
    while first is not None and first not in ENDED and not here.stopping.is_set():
        left = until - time.monotonic()
        if left <= 0 or await request.is_disconnected():
            break
        await anyio.sleep(min(pause, left))
        pause = min(1.5 * pause, LONGEST_POLL_SECONDS)
        if await here.look(status) != first:
            break
    return found(await here.look(lambda session: jobs.view(session, job_id)), job_id)


def cancel(job_id: str, here: Gateway) -> Changed:
    """Asks a job to stop; what is finished stays."""
    with here.store.begin() as session:
        changed = jobs.request_cancel(session, job_id)
    if changed is None:
        raise missing(f"job {job_id}")
    if changed:
        log.info("cancelling job=%s", job_id)
    return Changed(look(job_id, here), changed)


def retry(job_id: str, here: Gateway) -> Changed:
    """Queues the prompts that failed or were cancelled again.

    Raises: ProblemError: 409 while the job runs, 429 beyond what its key may have.
    """
    try:
        with here.store.begin() as session:
            job = lock(session, job_id)  # before its key: one order everywhere
            if job is not None and job.key_id is not None:
                admission.hold(session, job.key_id)
            groups = jobs.retry(session, job_id)
            check_quota(session, None if job is None else job.key_id)
            contexts.remember(session, groups or (), traceparent())
    except InputError as error:
        raise ProblemError(409, str(error)) from error
    if groups is None:
        raise missing(f"job {job_id}")
    if groups:
        here.publisher.nudge()
        log.info("queued again job=%s", job_id)
    return Changed(look(job_id, here), bool(groups))


def delete(job_id: str, here: Gateway) -> None:
    """Deletes an ended job with all that belongs to it.

    Raises: ProblemError: 409 while it has not ended.
    """
    with here.store.begin() as session:
        deleted = jobs.delete(session, job_id)
    if deleted is None:
        raise missing(f"job {job_id}")
    if not deleted:
        raise ProblemError(
            409, f"job {job_id} has not ended: cancel it first, and delete it once it has stopped"
        )
    log.info("deleted job=%s", job_id)
