"""Jobs as users see them: state, progress, costs and rewards, added up by the database."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from db import cursor as cursors
from db.models import JobRow, PromptRow
from db.prompt_pages import SHOWN_PROMPTS, shown
from db.reward_summary import reward_summary
from db.session import now
from prelogit.wire.jobs import (
    ENDED,
    Counts,
    Job,
    JobLinks,
    Progress,
    Usage,
)
from prelogit.wire.problem import Problem

# A page of jobs ends early rather than carry more than this of their requests (characters), or
# more prompts than a job shows.
PAGE_BYTES = 8 * 2**20


def view(session: Session, job_id: str, *, prompts: bool = True) -> Job | None:
    """The job, or None when there is none with this id; its request without prompts if so told."""
    row = session.get(JobRow, job_id, populate_existing=True)
    if row is None:
        return None
    tally = _tally(session, row)
    return Job.model_validate(
        {
            "id": row.id,
            "project": row.project,
            "status": row.status,
            "created_at": row.created_at,
            "started_at": row.started_at,
            "ended_at": row.ended_at,
            "expires_at": row.expires_at,
            "request": _request(session, row, prompts=prompts),
            "counts": tally.counts,
            "progress": _progress(row, tally.rounds_done),
            "usage": _usage(row),
            "reward": reward_summary(session, row, tally.counts),
            "engine": row.engine,
            "probe": row.probe,
            "held_out_probe": row.held_out_probe,
            "error": None if row.error is None else Problem.model_validate(row.error),
            "links": _links(row.id),
        }
    )


def listing(
    session: Session,
    *,
    status: str | None,
    limit: int,
    cursor: str | None,
    project: str | None = None,
    prompts: bool = True,
) -> tuple[list[Job], str | None]:
    """A page of jobs, newest first, and the cursor of the next page.

    project: whose jobs; None: all. A page holds at most ``limit`` jobs, and fewer where their
    requests are very large; not without their prompts.
    Raises InputError for a cursor that is not one of ours.
    """
    query = select(JobRow.id, JobRow.created_at, JobRow.request_bytes, JobRow.prompt_count)
    if project is not None:
        query = query.where(JobRow.project == project)
    if status is not None:
        query = query.where(JobRow.status == status)
    if cursor is not None:
        created_at, job_id = _position(cursor)
        query = query.where(
            or_(
                JobRow.created_at < created_at,
                and_(JobRow.created_at == created_at, JobRow.id < job_id),
            )
        )
    query = query.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit + 1)
    found = session.execute(query).all()
    jobs: list[Job] = []
    size = carried = 0
    for row in found:
        size += row.request_bytes
        carried += min(row.prompt_count, SHOWN_PROMPTS)
        full = prompts and (size > PAGE_BYTES or carried > SHOWN_PROMPTS)
        if len(jobs) == limit or (jobs and full):
            last = jobs[-1]
            return jobs, cursors.encode(last.created_at.isoformat(), last.id)
        job = view(session, row.id, prompts=prompts)
        if job is not None:  # else it was deleted meanwhile
            jobs.append(job)
    return jobs, None


def _position(cursor: str) -> tuple[datetime, str]:
    created_at, job_id = cursors.decode(cursor, str, str)
    try:
        time = datetime.fromisoformat(created_at)
        if time.tzinfo is not None:
            return time.astimezone(UTC), job_id
    except (ValueError, OverflowError):
        pass
    raise cursors.refused()


class _Tally(NamedTuple):
    counts: Counts
    rounds_done: int


def _tally(session: Session, job: JobRow) -> _Tally:
    rows = session.execute(_tally_query(), {"job": job.id}).all()
    counts = Counts(total=job.prompt_count, **{status: count for status, count, _ in rows})
    # A prompt that ended early has no more rounds to do.
    done = (count * job.rounds if status in ENDED else rounds for status, count, rounds in rows)
    return _Tally(counts, sum(done))


# Statements of requests that come often are made once: to make one costs more than to run it.
@cache
def _tally_query() -> Select[str, int, int]:
    return (
        select(PromptRow.status, func.count(), func.sum(PromptRow.rounds_done))
        .where(PromptRow.job_id == bindparam("job"))
        .group_by(PromptRow.status)
    )


def _request(session: Session, job: JobRow, *, prompts: bool) -> dict[str, Any]:
    settings = dict(job.settings)
    if not prompts:
        return settings
    items = shown(session, job.id)
    cut = {} if len(items) == job.prompt_count else {"prompts_shown": len(items)}
    return {"model": settings.pop("model"), "prompts": items, **cut, **settings}


def _progress(job: JobRow, done: int) -> Progress:
    total = job.prompt_count * job.rounds
    done = min(done, total)  # with a budget, a prompt may have more rounds than its even share
    fraction = done / total
    eta = None
    if job.status in ENDED:
        eta = 0.0
    elif job.started_at is not None and done:
        elapsed = max(0.0, (now() - job.started_at).total_seconds())
        eta = elapsed * (1 - fraction) / fraction
    return Progress(
        iterations_done=done, iterations_total=total, fraction=fraction, eta_seconds=eta
    )


def _usage(job: JobRow) -> Usage:
    return Usage(
        prompt_tokens=job.prompt_tokens,
        generated_tokens=job.generated_tokens,
        candidates=job.candidates,
        reward_calls=job.reward_calls,
        reward_tokens=job.reward_tokens,
        decode_seconds=job.decode_seconds,
        reward_seconds=job.reward_seconds,
        wait_seconds=job.wait_seconds,
    )


def _links(job_id: str) -> JobLinks:
    path = f"/v1/jobs/{job_id}"
    return JobLinks(
        self=path,
        prompts=f"{path}/prompts",
        results=f"{path}/results",
        trace=f"{path}/results/{{prompt_id}}/trace",
        events=f"{path}/events",
    )
