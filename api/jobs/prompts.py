"""``/v1/jobs/{id}/prompts``: the prompts of a job, a page at a time, however many they are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from api.deps import Here
from api.errors import missing
from api.jobs.routes import Cursor, Limit
from api.openapi import problems
from api.results.service import known_job
from db import prompt_pages
from db.session import reading
from prelogit.wire.jobs import JobPrompt

router = APIRouter(prefix="/v1/jobs/{job_id}/prompts", tags=["jobs"])


class PromptPage(BaseModel):
    """Prompts in their order; ``next_cursor`` is null on the last page."""

    data: list[JobPrompt]
    next_cursor: str | None


@router.get("", summary="Prompts, a page at a time", responses=problems(404, 422))
def listing(job_id: str, here: Here, limit: Limit = 20, cursor: Cursor = None) -> PromptPage:
    """All prompts of the job, also those that the job itself does not show."""
    with reading(here.store) as session:
        known_job(session, job_id)
        page, following = prompt_pages.page(session, job_id, limit=limit, cursor=cursor)
    return PromptPage(data=page, next_cursor=following)


@router.get("/{prompt_id}", summary="One prompt", responses=problems(404, 422))
def prompt(
    job_id: str,
    prompt_id: Annotated[str, Path(description="The prompt's id in the job.")],
    here: Here,
) -> JobPrompt:
    """As it was posted, with its state and its length."""
    with reading(here.store) as session:
        known_job(session, job_id)
        found = prompt_pages.one(session, job_id, prompt_id)
    if found is None:
        raise missing(f"prompt {prompt_id!r} of job {job_id}")
    return found
