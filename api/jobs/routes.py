"""``/v1/jobs``: post, estimate, list, look and wait, cancel, retry, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel

from api.deps import Here
from api.jobs import service
from api.jobs.estimate import Estimate, estimate
from api.jobs.posted import Body
from api.jobs.request import check_job
from api.keys.caller import Who
from api.openapi import JOB_BODY, problems
from db import jobs
from db.session import reading
from prelogit.wire.jobs import Job, JobStatus

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="A name of your own for this post: sent again with the same body it answers "
        "with the same job, with another body it is refused.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Most entries of one page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=1000, description="The next_cursor of the page before."),
]
LOCATION = {
    "headers": {
        "Location": {"description": "Where the job is.", "schema": {"type": "string"}},
    }
}


class JobPage(BaseModel):
    """Jobs, newest first; ``next_cursor`` is null on the last page."""

    data: list[Job]
    next_cursor: str | None


@router.post(
    "",
    status_code=202,
    summary="Post a job",
    responses={202: LOCATION, **problems(400, 413, 415, 422)},
    openapi_extra=JOB_BODY,
)
def submit(body: Body, here: Here, who: Who, response: Response, key: Key = None) -> Job:
    """Stores the job and wakes a worker. Answers before the work begins."""
    job = service.submit(body, key, who, here)
    response.headers["Location"] = job.links.self
    return job


@router.post(
    "/estimate",
    summary="What a job would cost, and why it would be refused",
    responses=problems(400, 413, 415, 422),
    openapi_extra=JOB_BODY,
)
def estimate_job(body: Body, here: Here, who: Who) -> Estimate:
    """Nothing is stored. Only a body that cannot be read at all is an error here."""
    checked = check_job(body, here)
    with reading(here.store) as session:
        return estimate(checked, here, session, project=who.sees)


@router.get("", summary="All jobs, newest first", responses=problems(422))
def listing(
    here: Here,
    who: Who,
    status: JobStatus | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> JobPage:
    """A page of the project's jobs, of one status or of all."""
    with reading(here.store) as session:
        page, following = jobs.listing(
            session, status=status, limit=limit, cursor=cursor, project=who.sees
        )
    return JobPage(data=page, next_cursor=following)


@router.get("/{job_id}", summary="One job", responses=problems(404, 422))
async def view(
    job_id: str,
    here: Here,
    request: Request,
    wait: Annotated[
        float, Query(ge=0, le=60, description="Seconds to hold until the status changes.")
    ] = 0,
) -> Job:
    """The job's state, progress, costs and rewards."""
    return await service.wait(job_id, wait, request, here)


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    summary="Stop a job and keep what it has",
    responses={
        200: {"model": Job, "description": "It was stopping, or had ended."},
        **problems(404, 422),
    },
)
def cancel(job_id: str, here: Here, response: Response) -> Job:
    """What is finished stays; each running prompt keeps its best so far."""
    job, changed = service.cancel(job_id, here)
    response.status_code = 202 if changed else 200
    return job


@router.post(
    "/{job_id}/retry",
    status_code=202,
    summary="Run again what failed or was cancelled",
    responses={
        200: {"model": Job, "description": "There was nothing to run again."},
        **problems(404, 409, 422),
    },
)
def retry(job_id: str, here: Here, response: Response) -> Job:
    """Prompts that succeeded are left as they are."""
    job, changed = service.retry(job_id, here)
    response.status_code = 202 if changed else 200
    return job


@router.delete(
    "/{job_id}",
    status_code=204,
    summary="Delete an ended job",
    responses=problems(404, 409, 422),
)
def delete(job_id: str, here: Here) -> None:
    """With its prompts, traces, results and events."""
    service.delete(job_id, here)
