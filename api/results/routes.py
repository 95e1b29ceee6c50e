"""``/v1/jobs/{id}/results…`` and ``/v1/jobs/{id}/events``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from api.deps import Here
from api.jobs.routes import Cursor, Limit
from api.openapi import problems, stream
from api.results import events, lines, service
from db import results
from db.session import reading
from prelogit.core.records import Candidate, Result, Trace

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"])

PromptId = Annotated[str, Path(description="The prompt's id in the job.")]
UNCACHED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class ResultPage(BaseModel):
    """Results in the order of the prompts; ``next_cursor`` is null on the last page."""

    data: list[Result]
    next_cursor: str | None


class Candidates(BaseModel):
    """Kept candidates: the best first with ``keep: best``, else as they were drawn."""

    data: list[Candidate]


@router.get("/results", summary="Results, a page at a time", responses=problems(404, 422))
def listing(job_id: str, here: Here, limit: Limit = 20, cursor: Cursor = None) -> ResultPage:
    """Every prompt has an entry; one that has not ended shows its best so far."""
    with reading(here.store) as session:
        service.known_job(session, job_id)
        page, following = results.page(session, job_id, limit=limit, cursor=cursor)
    return ResultPage(data=page, next_cursor=following)


@router.get(
    "/results.jsonl",
    summary="Results as they come, one a line",
    response_class=StreamingResponse,
    responses={
        200: stream("application/x-ndjson", "One Result a line.", {"type": "string"}),
        **problems(404, 422),
    },
)
async def jsonl(
    job_id: str,
    here: Here,
    follow: Annotated[
        bool, Query(description="False: only what is there now, instead of until the job ends.")
    ] = True,
) -> StreamingResponse:
    """Those that have ended already in the order of the prompts, the others as they end."""
    begun = await here.look(lambda session: lines.begin(session, job_id))
    return StreamingResponse(
        lines.stream(job_id, begun.seq, follow=follow and not begun.over, here=here),
        media_type="application/x-ndjson",
        headers=UNCACHED,
    )


@router.get("/results/{prompt_id}", summary="One result", responses=problems(404, 422))
def result(job_id: str, prompt_id: PromptId, here: Here) -> Result:
    """The best candidate of a prompt with its costs."""
    with reading(here.store) as session:
        return service.read_result(session, job_id, prompt_id)


@router.get(
    "/results/{prompt_id}/trace", summary="All iterations of a prompt", responses=problems(404, 422)
)
def trace(job_id: str, prompt_id: PromptId, here: Here) -> Trace:
    """Rewards, weights, ESS, lambda, variance and KL of every round so far."""
    with reading(here.store) as session:
        return service.read_trace(session, job_id, prompt_id)


@router.get(
    "/results/{prompt_id}/candidates",
    summary="Kept candidates of a prompt",
    responses=problems(404, 422),
)
def candidates(job_id: str, prompt_id: PromptId, here: Here) -> Candidates:
    """The top_k best, or with ``keep: all`` every one."""
    with reading(here.store) as session:
        return Candidates(data=service.read_candidates(session, job_id, prompt_id))


@router.get(
    "/events",
    summary="What happens to a job, as server-sent events",
    response_class=StreamingResponse,
    responses={
        200: stream(
            "text/event-stream",
            "One event after the other; an event's id is its place in the job.",
            events.SCHEMA,
        ),
        204: {"description": "The job has ended and everything was seen: do not come back."},
        **problems(404, 422),
    },
)
async def event_stream(
    job_id: str,
    here: Here,
    last_event_id: Annotated[
        int | None,
        Header(ge=0, lt=2**63, description="The id of the last event that was seen."),
    ] = None,
) -> Response:
    """Begins after ``Last-Event-ID``, at the first event without it. Ends when the job has."""
    after = last_event_id or 0
    first = await events.next_page(job_id, after, here)
    if first.over and not first.events:
        return Response(status_code=204)
    return StreamingResponse(
        events.stream(job_id, first, after, here),
        media_type="text/event-stream",
        headers=UNCACHED,
    )
