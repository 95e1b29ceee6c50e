"""The body of a posted job, set down while it arrives: as JSON, or as lines of any number."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, NamedTuple

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from api.body import JSON, arriving, media_type
from api.deps import Here
from api.errors import ProblemError

LINES = ("application/x-ndjson", "application/jsonl")
# Beyond this a body lies in a file without a name, in the folder that TMPDIR tells.
IN_MEMORY_BYTES = 2**20
_WRITTEN_AT_ONCE = 2**18


class Posted(NamedTuple):
    """A whole body. ``lines``: the job, then a prompt a line; else one JSON object."""

    file: IO[bytes]
    lines: bool


async def posted_job(request: Request, here: Here) -> AsyncIterator[Posted]:
    """The body of a request about a job, until the request is answered.

    Raises: ProblemError: 415 for another media type, 413 beyond the installation's limits, 400
            when it breaks off, 503 when there is no room to set it down.
    """
    kind = media_type(request)
    if kind != JSON and kind not in LINES:
        raise ProblemError(
            415,
            "send the job as JSON, with the header Content-Type: application/json; or the job and "
            f"then a prompt a line, with Content-Type: {LINES[0]}",
        )
    settings = here.settings
    limit, cure = (
        (
            settings.max_stream_bytes,
            "send the prompts in several jobs, or raise PRELOGIT_MAX_STREAM_BYTES",
        )
        if kind in LINES
        else (
            settings.max_body_bytes,
            f"send a prompt a line, with Content-Type: {LINES[0]}, or the prompts in several jobs, "
            "or raise PRELOGIT_MAX_BODY_BYTES",
        )
    )
    file = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - closed below
    try:
        await _set_down(arriving(request, limit=limit, cure=cure), file)
        yield Posted(file, kind in LINES)
    finally:
        await run_in_threadpool(file.close)


Body = Annotated[Posted, Depends(posted_job)]


async def _set_down(chunks: AsyncIterator[bytes], file: IO[bytes]) -> None:
    waiting = bytearray()
    try:
        async for chunk in chunks:
            waiting += chunk
            if len(waiting) >= _WRITTEN_AT_ONCE:
                await run_in_threadpool(file.write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(file.write, bytes(waiting))
    except OSError as error:
        room = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = "has no room" if room else "cannot be written to"
        raise ProblemError(
            503,
            f"the gateway's folder for temporary files {reason}, so the body cannot be set down: "
            "free some of it, or have the gateway started with another TMPDIR",
            headers={"Retry-After": "5"},
        ) from error
