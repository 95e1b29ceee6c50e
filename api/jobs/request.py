"""From the bytes of a job's body to a request that can be stored, or to what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request
from pydantic import ValidationError

from api.body import parse_body, read_body
from api.deps import Gateway, Here
from api.errors import MOST_FIELDS
from api.fields import field_problems
from api.jobs.limits import count_prompts, job_problems
from prelogit.wire.jobs import JobRequest
from prelogit.wire.problem import FieldProblem

# Beyond this, listing what is wrong costs more than it tells.
MOST_ERRORS = 1000


class Checked(NamedTuple):
    """A body after all checks. ``request`` is None when the types were already wrong.

    ``tokens``: prompt tokens by prompt id, empty when they could not be counted.
    """

    request: JobRequest | None
    tokens: dict[str, int]
    problems: list[FieldProblem]


async def job_body(request: Request, here: Here) -> bytes:
    """The body of the request, within the installation's limit."""
    return await read_body(request, limit=here.settings.max_body_bytes)


Body = Annotated[bytes, Depends(job_body)]


def check_job(raw: bytes, here: Gateway) -> Checked:
    """All checks of a job's body; slow for big jobs, so never on the event loop.

    Raises: ProblemError: 422 when it is not JSON at all. ModelError: the model is not prepared.
    """
    parsed = parse_body(raw)
    try:
        request = JobRequest.model_validate(parsed).filled(model=here.settings.model)
    except ValidationError as error:
        return Checked(None, {}, _refusals(error))
    problems = job_problems(request, here.settings, here.rewards)
    if any(problem.field in ("model", "prompts") for problem in problems):
        return Checked(request, {}, problems)  # counting would tell nothing, or take too long
    counted = count_prompts(request, here.texts[str(request.model)].load())
    return Checked(request, counted.tokens, [*problems, *counted.problems])


def body_hash(request: JobRequest) -> str:
    """The same for bodies that mean the same job, however they are written."""
    meant = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(meant.encode()).hexdigest()


@cache
def job_schema() -> dict[str, Any]:
    """The JSON schema of a job's body."""
    return JobRequest.model_json_schema()


def _refusals(error: ValidationError) -> list[FieldProblem]:
    if error.error_count() > MOST_ERRORS:
        message = (
            f"has {error.error_count():,} errors, too many to list: compare a single prompt with "
            f"/docs first (up to {MOST_FIELDS} errors are listed)"
        )
        return [FieldProblem(field="body", message=message)]
    return field_problems(error.errors(include_url=False, include_input=False), job_schema())
