"""Reading a request's body: limited while it arrives, parsed off the event loop."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Request
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from api.errors import ProblemError, invalid

# Jobs stay far below; more would be megabytes of empty brackets, whose validation takes
# seconds and gigabytes.
MOST_VALUES = 500_000
# How much of a too large body is read and dropped, so that a client which writes before it
# reads gets to see the answer instead of a broken connection.
DROPPED_BODIES = 4
DROPPING_SECONDS = 10.0


async def read_body(request: Request, *, limit: int) -> bytes:
    """The body of a JSON request.

    Raises: ProblemError: 415 unless it calls itself JSON, 413 beyond ``limit`` bytes.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        # A body without a type is refused too: that is what a foreign web page can send to
        # a local service without being asked first.
        raise ProblemError(
            415, "send the body as JSON, with the header Content-Type: application/json"
        )
    chunks: list[bytes] = []
    size = 0
    deadline = time.monotonic() + DROPPING_SECONDS
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            elif size > limit * DROPPED_BODIES or time.monotonic() > deadline:
                break
            else:
                chunks.clear()
    except ClientDisconnect:
        raise ProblemError(400, "the connection ended before the body did") from None
    if size > limit:
        raise ProblemError(
            413,
            f"the body has more than the {limit:,} bytes that this installation accepts: send "
            "the prompts in several jobs, or raise PRELOGIT_MAX_BODY_BYTES",
        )
    return b"".join(chunks)


def parse_body(raw: bytes) -> Any:
    """The body as Python values.

    Raises: ProblemError: 422 when it is not JSON, or has absurdly many values.
    """
    try:
        parsed = from_json(raw)
    except ValueError as error:
        raise invalid("body", f"is not valid JSON: {error}") from None
    if _values(parsed) > MOST_VALUES:
        raise invalid("body", f"has more than {MOST_VALUES:,} JSON values: send several jobs")
    return parsed


def _values(parsed: Any) -> int:
    """How many values are in there, counted no further than needed."""
    count = 0
    left = [parsed]
    while left and count <= MOST_VALUES:
        value = left.pop()
        count += 1
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return count
