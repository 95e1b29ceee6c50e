"""Every error leaves the gateway as a problem document (RFC 9457).

A problem names the field and the cure. It never carries a stack trace, a path or a secret:
what was not raised on purpose is answered with a number that the log knows too.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import exc as sql
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.fields import field_problems
from db.trouble import trouble
from prelogit.core.errors import InputError, ModelError, PrelogitError, RewardError, StoreError
from prelogit.wire.problem import FieldProblem, Problem

log = logging.getLogger("prelogit.api")

MEDIA_TYPE = "application/problem+json"
MOST_FIELDS = 20


class ProblemError(PrelogitError):
    """Ends a request with a problem document. ``extra`` are further members of the document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(
            title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors)
        )
        self.headers = headers
        self.extra = extra or {}


def refused(problems: Sequence[FieldProblem]) -> ProblemError:
    """422 for these fields; of many the first are listed and the rest is counted."""
    first = problems[0]
    detail = f"{first.field}: {first.message}"
    if len(problems) > 1:
        detail = f"{len(problems)} fields cannot be accepted; the first is {detail}"
    if len(problems) > MOST_FIELDS:
        detail += f" (the first {MOST_FIELDS} are listed)"
    return ProblemError(422, detail, errors=problems[:MOST_FIELDS])


def invalid(field: str, message: str, *, allowed: Any = None) -> ProblemError:
    """422 for one field."""
    return refused([FieldProblem(field=field, message=message, allowed=allowed)])


def missing(what: str) -> ProblemError:
    """404 for something that this store does not hold."""
    return ProblemError(404, f"{what} is not known here: it was never made, or it was deleted")


def install(app: FastAPI) -> None:
    """Answers every error of this application with a problem document."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(PrelogitError, _on_purpose)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _http)
    # A PostgreSQL that is read-only says so by an internal error.
    for kind in (sql.OperationalError, sql.InterfaceError, sql.InternalError, sql.TimeoutError):
        app.add_exception_handler(kind, _store)
    app.add_middleware(LastResort)


class LastResort:
    """Answers what nobody else did.

    Not an exception handler: those for ``Exception`` raise it again after the answer, and the
    server then drops the connection under the client's next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if started:
                raise  # all that is left is to break off
            await _unexpected(Request(scope), error)(scope, receive, send)


def answer_of(error: ProblemError) -> JSONResponse:
    """The answer that this problem is."""
    return JSONResponse(
        {**error.problem.model_dump(mode="json"), **error.extra},
        status_code=error.problem.status,
        headers=dict(error.headers) if error.headers else None,
        media_type=MEDIA_TYPE,
    )


def _problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)  # noqa: S101  (registered for this type)
    return answer_of(error)


def _on_purpose(request: Request, error: Exception) -> JSONResponse:
    match error:
        case InputError():
            return answer_of(invalid(error.field or "body", str(error)))
        case StoreError() | ModelError() | RewardError():
            log.warning("%s %s: %s", request.method, request.url.path, error)
            return answer_of(ProblemError(503, str(error), headers={"Retry-After": "5"}))
        case _:
            return _unexpected(request, error)


def _parameters(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  (registered for this type)
    # A location begins with query, path or header, which the client did not write.
    inside = [{**one, "loc": one["loc"][1:]} for one in error.errors()]
    return answer_of(refused(field_problems(inside, {})))


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  (registered for this type)
    detail = str(error.detail)
    if error.status_code == 404:
        detail = "there is nothing at this address: /docs lists what there is"
    elif error.status_code == 405:
        offered = (error.headers or {}).get("Allow", "other methods")
        detail = f"{request.method} is not offered at this address: use {offered}"
    return answer_of(ProblemError(error.status_code, detail, headers=error.headers))


def _store(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, sql.SQLAlchemyError)  # noqa: S101  (registered for such types)
    request.app.state.gateway.refusals.note(error)
    detail = trouble(error)
    told = (request.method, request.url.path, type(error).__name__, detail)
    log.error("%s %s: the store failed (%s): %s", *told)
    return answer_of(ProblemError(503, detail, headers={"Retry-After": "5"}))


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    number = uuid.uuid4().hex[:12]
    log.error("incident %s at %s %s", number, request.method, request.url.path, exc_info=error)
    return answer_of(
        ProblemError(500, f"the gateway failed at this request; its log tells why at {number}")
    )
