"""Results as lines of JSON, one as soon as its prompt has ended.

Those that have ended when the stream begins come in the order of the prompts, the others as
they end; each comes once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import anyio
from sqlalchemy.orm import Session

from api.deps import Gateway
from api.results.service import known_job
from db import events, jobs, results
from prelogit.core.records import Result
from prelogit.wire.jobs import ENDED

LINES_AT_ONCE = 100
EVENTS_AT_ONCE = 500
LONGEST_POLL_SECONDS = 1.0


class News(NamedTuple):
    """What happened after event ``seq``: results that are new; ``over``: none will follow."""

    results: list[Result]
    seq: int
    more: bool
    over: bool


class Begun(NamedTuple):
    """Where a stream begins: results are news after event ``seq``; ``over``: there will be none."""

    seq: int
    over: bool


def begin(session: Session, job_id: str) -> Begun:
    """How the job stands. Raises ProblemError 404."""
    status = known_job(session, job_id)
    return Begun(events.last(session, job_id), status in ENDED)


async def stream(job_id: str, seq: int, *, follow: bool, here: Gateway) -> AsyncIterator[str]:
    """The lines; with ``follow`` until the job has ended, else what is there now."""
    sent = bytearray()  # of each place; a set of a very large job's would be megabytes
    async for result in _found(job_id, seq, follow=follow, here=here):
        sent.extend(bytes(max(0, result.index + 1 - len(sent))))
        if not sent[result.index]:
            sent[result.index] = 1
            yield result.model_dump_json() + "\n"


async def _found(job_id: str, seq: int, *, follow: bool, here: Gateway) -> AsyncIterator[Result]:
    async for result in _ended(job_id, here):
        yield result
    if not follow:
        return
    async for result in _following(job_id, seq, here):
        yield result
    if not here.stopping.is_set():
        # A prompt that was cancelled before its search began ends without an event of its own.
        async for result in _ended(job_id, here):
            yield result


async def _following(job_id: str, seq: int, here: Gateway) -> AsyncIterator[Result]:
    """Results as they are written, until the job has ended, or is deleted, or the gateway ends."""
    pause = here.settings.poll_seconds
    while not here.stopping.is_set():
        news = await here.look(lambda session, after=seq: _news(session, job_id, after))  # type: ignore[misc]
        for result in news.results:
            yield result
        if news.over:
            return
        seq = news.seq
        if news.results:
            pause = here.settings.poll_seconds
        if not news.more:
            await anyio.sleep(pause)
            pause = min(1.5 * pause, LONGEST_POLL_SECONDS)


async def _ended(job_id: str, here: Gateway) -> AsyncIterator[Result]:
    index = -1
    while True:
        page = await here.look(
            lambda session, after=index: results.stream(  # type: ignore[misc]
                session, job_id, after_index=after, limit=LINES_AT_ONCE
            )
        )
        for result in page:
            yield result
        if not page:
            return
        index = page[-1].index


def _news(session: Session, job_id: str, seq: int) -> News:
    status = jobs.status(session, job_id)
    if status is None:
        return News([], seq, more=False, over=True)
    page = events.after(session, job_id, seq, EVENTS_AT_ONCE)
    found = [
        result
        for event in page
        if event.kind == "result"
        and (result := results.read(session, job_id, event.data["prompt_id"])) is not None
        and result.status in ENDED
    ]
    more = len(page) == EVENTS_AT_ONCE
    return News(found, page[-1].seq if page else seq, more, status in ENDED and not more)
