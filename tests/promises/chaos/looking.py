"""What a run sees of its stack: past the proxies, and patient with what is down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TypeVar

import httpx
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db.models import IterationRow, JobRow, PromptRow
from db.session import reading, sessions
from prelogit.core.records import Result
from prelogit.wire.jobs import ENDED
from tests.promises.chaos.arena import Arena

T = TypeVar("T")
LOOK_SECONDS = 0.1


def stored_rounds(here: Arena, job_id: str | None = None) -> int:
    """How many rounds are stored, of a job or of all; 0 while the store is down."""
    rounds = select(func.count(IterationRow.k))
    if job_id is not None:
        rounds = rounds.where(IterationRow.job_id == job_id)
    return _ask(here, lambda session: session.scalar(rounds)) or 0


def status(here: Arena, job_id: str) -> str | None:
    """None while the store is down."""
    status = select(JobRow.status).where(JobRow.id == job_id)
    return _ask(here, lambda session: session.scalar(status))


def holder(here: Arena, job_id: str) -> int | None:
    """The process that holds prompts of a job: its number stands in its owner's name."""
    held = select(PromptRow.lease_owner).where(
        PromptRow.job_id == job_id, PromptRow.lease_owner.is_not(None)
    )
    owner = _ask(here, lambda session: session.scalar(held.limit(1)))
    return None if owner is None else int(owner.split("-")[-2])


def at_rest(here: Arena, jobs: int, seconds: float) -> bool:
    """Whether so many jobs are there, and all have ended, within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        here.tend()
        found = _ask(here, lambda session: list(session.scalars(select(JobRow.status))))
        if found is not None and len(found) == jobs and set(found) <= ENDED:
            return True
        time.sleep(LOOK_SECONDS)
    return False


def export(here: Arena, job_id: str) -> list[Result]:
    """The job's lines, as a client gets them; the gateway may be coming up still."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = httpx.get(
                f"{here.direct_url}/v1/jobs/{job_id}/results.jsonl?follow=false", timeout=30
            )
            if answer.is_success:
                return [
                    Result.model_validate(json.loads(line)) for line in answer.text.splitlines()
                ]
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            return []
        here.tend()
        time.sleep(LOOK_SECONDS)


def _ask(here: Arena, question: Callable[[Session], T]) -> T | None:
    try:
        with reading(sessions(here.engine)) as session:
            return question(session)
    except SQLAlchemyError:
        return None
