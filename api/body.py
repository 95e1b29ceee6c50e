"""Reading a request's body: limited while it arrives, parsed off the event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from api.deps import Here
from api.errors import ProblemError, invalid

JSON = "application/json"
# Jobs stay far below; more would be megabytes of empty brackets, whose validation takes
# seconds and gigabytes.
MOST_VALUES = 500_000
# How much of a too large body is read and dropped, so that a client which writes before it
# reads gets to see the answer instead of a broken connection.
DROPPED_BODIES = 4
DROPPING_SECONDS = 10.0


async def json_body(request: Request, here: Here) -> bytes:
    """The body of a JSON request, within the installation's limit. Raises ProblemError."""
    if media_type(request) != JSON:
        # A body without a type is refused too: that is what a foreign web page can send to
        # a local service without being asked first.
        raise ProblemError(
            415, "send the body as JSON, with the header Content-Type: application/json"
        )
    limit = here.settings.max_body_bytes
    cure = "send less at once, or raise PRELOGIT_MAX_BODY_BYTES"
    return b"".join([chunk async for chunk in arriving(request, limit=limit, cure=cure)])


Body = Annotated[bytes, Depends(json_body)]


def media_type(request: Request) -> str:
    """What the body calls itself, in small letters and without parameters."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def arriving(request: Request, *, limit: int, cure: str) -> AsyncIterator[bytes]:
    """The body in pieces as they come.

    Raises: ProblemError: 413 with the cure once there are more than ``limit`` bytes, 400 when
            the connection ends before the body does.
    """
    size = 0
    deadline = time.monotonic() + DROPPING_SECONDS
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                deadline = time.monotonic() + DROPPING_SECONDS
                yield chunk
            elif size > limit * DROPPED_BODIES or time.monotonic() > deadline:
                break
    except ClientDisconnect:
        raise ProblemError(400, "the connection ended before the body did") from None
    if size > limit:
        raise ProblemError(
            413,
            f"the body has more than the {limit:,} bytes that this installation accepts: {cure}",
        )


def parse_body(raw: bytes) -> Any:
    """The body as Python values.

    Raises: ProblemError: 422 when it is not JSON, or has absurdly many values.
    """
    try:
        parsed = from_json(raw)
    except ValueError as error:
        raise invalid("body", f"is not valid JSON: {error}") from None
    if more_values(parsed, MOST_VALUES):
        raise invalid("body", f"has more than {MOST_VALUES:,} JSON values: send several jobs")
    return parsed


def more_values(parsed: Any, most: int) -> bool:
    """Whether there are more than so many values in there."""
    count = 0
    left = [parsed]
    while left and count <= most:
        value = left.pop()
        count += 1
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return count > most
