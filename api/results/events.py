"""A job's events as they happen, over server-sent events.

An event's id is its place in the job, so a client that was cut off says which it saw last
(``Last-Event-ID``) and misses none.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import anyio
from sqlalchemy.orm import Session

from api.deps import Gateway
from api.errors import ProblemError
from api.results.service import known_job
from db import events
from prelogit.wire.jobs import ENDED

EVENTS_AT_ONCE = 200
LONGEST_POLL_SECONDS = 1.0
RECONNECT = "retry: 2000\n\n"  # milliseconds after which a cut-off client comes back
SCHEMA: dict[str, Any] = {  # of one event
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "event": {"enum": ["job", "iteration", "result"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
HEARTBEAT = ": alive\n\n"


class Page(NamedTuple):
    """Events after one that was seen. ``over``: the job has ended and these are the last."""

    events: list[events.Event]
    over: bool


def read_page(session: Session, job_id: str, after: int) -> Page:
    """The next events. Raises ProblemError 404 for an unknown job."""
    status = known_job(session, job_id)
    page = events.after(session, job_id, after, EVENTS_AT_ONCE)
    return Page(page, status in ENDED and len(page) < EVENTS_AT_ONCE)


async def stream(job_id: str, first: Page, after: int, here: Gateway) -> AsyncIterator[str]:
    """The text of the stream, from ``first`` on; ends with the job, or with the gateway.

    Polls faster while something happens than while nothing does; says that it lives when
    nothing has happened for a while, so that no proxy ends the connection.
    """
    page, pause = first, here.settings.poll_seconds
    said = time.monotonic()
    yield RECONNECT
    while True:
        for event in page.events:
            after = event.seq
            yield frame(event)
        if page.over or here.stopping.is_set():
            return
        if page.events:
            said, pause = time.monotonic(), here.settings.poll_seconds
        elif time.monotonic() - said > here.settings.heartbeat_seconds:
            said = time.monotonic()
            yield HEARTBEAT
        if len(page.events) < EVENTS_AT_ONCE:
            await anyio.sleep(pause)
            pause = min(1.5 * pause, LONGEST_POLL_SECONDS)
        try:
            page = await next_page(job_id, after, here)
        except ProblemError:
            return  # the job was deleted meanwhile


async def next_page(job_id: str, after: int, here: Gateway) -> Page:
    """The next events, read off the event loop."""
    return await here.look(lambda session: read_page(session, job_id, after))


def frame(event: events.Event) -> str:
    """One event as the protocol writes it; JSON has no line breaks, so one line is enough."""
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n"
