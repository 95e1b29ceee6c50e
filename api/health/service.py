"""Looks at every part that the gateway needs, and says what is wrong and the cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import anyio
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.deps import Gateway
from api.wakeups import QUEUE_FAILURES
from db import presence
from db.session import check, reading
from prelogit.core.errors import PrelogitError, StoreError

PartName = Literal["store", "queue", "reward", "workers", "model"]
START_WORKER = "start one (`prelogit up`, or `python -P -m workers`)"


class Part(BaseModel):
    """One part; ``problem`` says what is wrong with it and the cure."""

    ok: bool
    problem: str | None = None


class Readiness(BaseModel):
    """``GET /health/ready``: ready when every part is."""

    ready: bool
    parts: dict[PartName, Part]


class Life(BaseModel):
    """``GET /health/live``."""

    status: Literal["ok"] = "ok"
    version: str


async def look_around(here: Gateway) -> Readiness:
    """All parts, at the same time, each for a few seconds at most."""
    parts: dict[PartName, Part] = {}

    async def look(name: PartName, at: Callable[[Gateway], str | None]) -> None:
        problem = await run_in_threadpool(at, here)
        parts[name] = Part(ok=problem is None, problem=problem)

    async with anyio.create_task_group() as group:
        for name, at in CHECKS.items():
            group.start_soon(look, name, at)
    return Readiness(
        ready=all(part.ok for part in parts.values()),
        parts={name: parts[name] for name in CHECKS},
    )


def _store(here: Gateway) -> str | None:
    try:
        check(here.engine)
    except StoreError as error:
        return str(error)
    return here.refusals.lately()


def _queue(here: Gateway) -> str | None:
    try:
        here.publisher.ping()
    except QUEUE_FAILURES as error:
        return (
            f"Redis does not answer ({type(error).__name__}): start it, or correct "
            "PRELOGIT_REDIS_URL; jobs are accepted meanwhile and start once it is back"
        )
    return None


def _reward(here: Gateway) -> str | None:
    return here.rewards.problem()


def _workers(here: Gateway) -> str | None:
    seconds = here.settings.worker_silence_seconds
    try:
        with reading(here.store) as session:
            alive = presence.alive(session, seconds)
    except (SQLAlchemyError, PrelogitError):
        return "cannot be seen while the store does not answer"
    if not alive:
        return f"no worker has been heard of for {seconds:g} s: {START_WORKER}"
    served = {worker.model for worker in alive}
    missing = [model for model in here.settings.offered if model not in served]
    if missing:
        return (
            f"no worker serves {_named(missing)}, only {', '.join(sorted(served))}: start a worker "
            "with that PRELOGIT_MODEL, written as the gateway has it; jobs for it wait meanwhile"
        )
    return None


def _model(here: Gateway) -> str | None:
    problems = [problem for text in here.texts.values() if (problem := text.problem())]
    return "; ".join(problems) or None


def _named(models: list[str]) -> str:
    word = "the model" if len(models) == 1 else "the models"
    return f"{word} {', '.join(map(repr, models))}"


CHECKS: dict[PartName, Callable[[Gateway], str | None]] = {
    "store": _store,
    "queue": _queue,
    "reward": _reward,
    "workers": _workers,
    "model": _model,
}
