"""What each route asks of its caller: a scope, and that the job is of the caller's project.

Every route of the application passes here, so one that is added is guarded without being told.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request

from api.deps import gateway_of
from api.errors import ProblemError, missing
from api.keys.caller import caller_of, unauthorized
from api.keys.gate import LIVE
from db import jobs
from prelogit.wire.keys import Scope

ADMINISTRATION = "keys"  # tags of routes
CATALOG = "catalog"


def scope_of(path: str, method: str, tags: list[Any]) -> Scope | None:
    """The scope that a route asks for; None: any key is good enough.

    path: its template, as in the OpenAPI document.
    """
    if ADMINISTRATION in tags:
        return "admin"
    if CATALOG in tags or path == LIVE:
        return None
    return "read" if method in ("GET", "HEAD") else "submit"


async def guard(request: Request) -> None:
    """Lets a request through.

    Raises: ProblemError: 403 without the scope; 404 for a job of another project, in the words
    for one that is not there.
    """
    caller = caller_of(request)
    route = request.scope["route"]
    scope = scope_of(route.path, request.method, route.tags)
    if scope is not None and not caller.may(scope):
        if caller.key is None:
            raise unauthorized()
        raise ProblemError(403, f"this key does not have the scope {scope!r}: use one that has it")
    job_id = request.path_params.get("job_id")
    if job_id is None or caller.sees is None:
        return
    owner = await gateway_of(request).look(lambda session: jobs.project_of(session, job_id))
    if owner != caller.sees:
        raise missing(f"job {job_id}")
