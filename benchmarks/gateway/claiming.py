"""N workers without an engine on one queue: claims a second, and how long a short job waits."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select

from benchmarks.gateway.requests import cpu_seconds
from benchmarks.gateway.stack import Stack
from db.models import JobRow
from db.session import reading
from tests.workers.processes import Child, environment, until


class Claims(NamedTuple):
    """What so many workers did. ``engine``: seconds that a group takes. ``doubled``: prompts that were claimed more than once.

    ``short_waited``, ``short_took``: seconds until the job of 10 prompts behind the long one was
    begun and had ended. ``cpu_ms``: of all workers, for each prompt.
    """

    workers: int
    engine: float
    seconds: float
    claims_a_second: float
    prompts_a_second: float
    doubled: int
    short_waited: float
    short_took: float
    cpu_ms: float


def measure(stack: Stack, workers: int, *, engine: float, seconds: float) -> Claims:
    """Lets workers follow the queue for so long; a job of 10 prompts is posted halfway."""
    folder = stack.folder / f"workers-{workers}-{time.monotonic_ns()}"
    folder.mkdir()
    with _following(stack, folder, workers, engine) as children:
        until(lambda: _lines(folder), "a first group was claimed")
        begun, before = time.time(), sum(cpu_seconds(child.pid) for child in children)
        time.sleep(seconds / 2)
        short = stack.post(10, method={"name": "aisp", "batch_size": 2})
        time.sleep(seconds / 2)
        ended = time.time()
        cpu = sum(cpu_seconds(child.pid) for child in children) - before
        until(lambda: _times(stack, short)[2], "the short job has ended", seconds=120)
    lines = _lines(folder)
    mine = [line for line in lines if begun <= line["at"] <= ended]
    prompts = sum(len(line["fences"]) for line in mine)
    seen = [(line["job"], prompt) for line in lines for prompt in line["fences"]]
    again = sum(fence > 1 for line in lines for fence in line["fences"].values())
    created, started, over = _times(stack, short)
    return Claims(
        workers, engine, ended - begun, len(mine) / (ended - begun), prompts / (ended - begun),
        again + len(seen) - len(set(seen)),
        (started - created).total_seconds(), (over - created).total_seconds(),
        1000 * cpu / max(1, prompts),
    )  # fmt: skip


@contextmanager
def _following(stack: Stack, folder: Path, workers: int, engine: float) -> Iterator[list[Child]]:
    command = [sys.executable, "-P", "-m", "benchmarks.gateway.fake_worker"]
    command += [stack.database_url, stack.redis_url, stack.model]
    children = [
        Child(
            [*command, str(folder / f"{n}.jsonl"), str(engine)], folder / f"{n}.log", environment()
        )
        for n in range(workers)
    ]
    try:
        for child in children:
            child.until_said("ready")
        yield children
    finally:
        for child in children:
            if child.running:
                child.end()


def _lines(folder: Path) -> list[dict[str, Any]]:
    texts = [path.read_text() for path in folder.glob("*.jsonl")]
    return [json.loads(line) for text in texts for line in text.splitlines() if line.endswith("}")]


def _times(stack: Stack, job_id: str) -> Any:
    with reading(stack.store) as session:
        return session.execute(
            select(JobRow.created_at, JobRow.started_at, JobRow.ended_at).where(JobRow.id == job_id)
        ).one()
