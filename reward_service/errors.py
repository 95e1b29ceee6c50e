"""Every refusal of the reward service as a problem document (RFC 9457)."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException as AnyHTTPException

from prelogit.core.errors import (
    InputError,
    PrelogitError,
    RewardAnswerError,
    RewardUnavailableError,
)
from prelogit.rewards.answers import NONSENSE
from prelogit.wire.jobs import Message
from prelogit.wire.problem import FieldProblem, Problem
from prelogit.wire.scores import ScoreRequest

log = logging.getLogger("prelogit.reward_service")

WAIT_SECONDS = 2
MEDIA_TYPE = "application/problem+json"


class ProblemError(HTTPException):
    """A refusal with its document. ``retry``: asking again later may help.

    An HTTPException, because FastAPI turns all else that happens while a body is read into 400.
    """

    def __init__(self, problem: Problem, *, retry: bool = False) -> None:
        super().__init__(problem.status, problem.detail)
        self.problem = problem
        self.retry = retry


def make_problem(
    status: int,
    detail: str,
    *,
    kind: str = "about:blank",
    errors: list[FieldProblem] | None = None,
) -> Problem:
    """A document whose title is the status' own phrase."""
    title = HTTPStatus(status).phrase
    return Problem(type=kind, title=title, status=status, detail=detail, errors=errors or [])


def respond(problem: Problem, *, retry: bool = False) -> Response:
    """The document as an answer; with ``retry`` it says when to ask again."""
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"retry-after": str(WAIT_SECONDS)} if retry else None,
    )


def install(app: FastAPI) -> None:
    """Makes the app answer with problem documents only."""
    for kind in (PrelogitError, RequestValidationError, AnyHTTPException, Exception):
        app.add_exception_handler(kind, _refused)


def problem_of(error: Exception) -> tuple[Problem, bool]:
    """The document of any error, and whether asking again later may help.

    The library's own errors have texts that are safe to show; of others nothing is told.
    """
    match error:
        case ProblemError():
            return error.problem, error.retry
        case RequestValidationError():
            fields = [_field(found) for found in error.errors()]
            detail = "; ".join(f"{each.field}: {each.message}" for each in fields[:3])
            return make_problem(422, detail, errors=fields), False
        case AnyHTTPException():
            return make_problem(error.status_code, str(error.detail)), False
        case InputError():
            field = [FieldProblem(field=error.field, message=str(error))] if error.field else []
            return make_problem(422, str(error), errors=field), False
        case RewardUnavailableError():
            return make_problem(503, str(error)), True
        case RewardAnswerError():
            return make_problem(502, str(error), kind=NONSENSE), False
        case PrelogitError():
            return make_problem(500, str(error)), False
        case _:
            return make_problem(500, "the reward service failed; its log says why"), False


async def _refused(request: Request, error: Exception) -> Response:
    problem, retry = problem_of(error)
    if problem.status >= 500 and not retry:
        log.warning("%s %s: %s", request.method, request.url.path, problem.detail)
    return respond(problem, retry=retry)


def _field(found: dict[str, Any]) -> FieldProblem:
    """One fault of a body: where, what, and what is allowed there."""
    place = [str(part) for part in found["loc"][1:]]
    if found["type"] == "json_invalid":
        reason = found.get("ctx", {}).get("error", "")
        return FieldProblem(field="body", message=f"not JSON ({reason} at character {place[0]})")
    field = ".".join(place) or "body"
    if found["type"] == "extra_forbidden":
        known = list((ScoreRequest if len(place) == 1 else Message).model_fields)
        near = get_close_matches(place[-1], known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return FieldProblem(field=field, message=f"unknown field{hint}", allowed=known)
    return FieldProblem(field=field, message=str(found["msg"]).removeprefix("Value error, "))
