"""Search an evaluation's prompts as jobs of a running service."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prelogit.client import Client
from prelogit.client.sync import JobHandle
from prelogit.core.errors import InputError, ServiceError
from prelogit.data.entry import Entry
from prelogit.evaluation.running import Solver
from prelogit.evaluation.store import Run, Store, Task, fingerprint
from prelogit.wire.jobs import Job

# A job's traces lie in one database and its prompts in one body.
PROMPTS_A_JOB = 500
_OVER = ("succeeded", "failed", "cancelled")
_GONE = 404


def through_service(client: Client, store: Store, **fields: Any) -> Solver:
    """A task becomes a job (more of them, if it is large); prompts are kept while it runs.

    What was posted stands in the store, and a post carries an idempotency key made of the store,
    the task and how many of its jobs are over. So an evaluation that was killed at any moment
    finds its job again, and what failed in a job that is over gets a new one.
    Args: fields: of every job: ``model``, ``max_new_tokens``, ``template``.
    """

    def solve_task(task: Task, on_run: Callable[[Run], None]) -> None:
        left = {entry.item.id or "": entry for entry in task.entries}
        for job_id in _under_way(store, task.key):
            _collect(client, store, task, left, job_id, on_run)
        waiting = list(left.values())
        for start in range(0, len(waiting), PROMPTS_A_JOB):
            part = waiting[start : start + PROMPTS_A_JOB]
            handle = client.submit(
                [entry.item for entry in part],
                idempotency_key=_key(store, task, part),
                method=task.arm.params,
                reward=task.reward,
                seed=task.seed,
                metadata={"evaluation": store.id},
                **fields,
            )
            store.add_job(task=task.key, job=handle.id, over=False)
            _collect(client, store, task, left, handle.id, on_run)

    return solve_task


def check_tasks(client: Client, tasks: Sequence[Task], **fields: Any) -> None:
    """
    Raises: InputError: the service would refuse one of the tasks; names the field.
    """
    for task in tasks:
        told = client.estimate(
            [entry.item for entry in task.entries[:PROMPTS_A_JOB]],
            method=task.arm.params,
            reward=task.reward,
            seed=task.seed,
            **fields,
        )
        for problem in told["problems"]:
            raise InputError(
                f"{task.arm.label}: {problem['field']}: {problem['message']}",
                field=problem["field"],
            )


def _under_way(store: Store, key: str) -> list[str]:
    over = {job["job"] for job in store.jobs if job["over"]}
    mine = [job["job"] for job in store.jobs if job["task"] == key and not job["over"]]
    return [job_id for job_id in mine if job_id not in over]


def _key(store: Store, task: Task, part: Sequence[Entry]) -> str:
    over = sum(job["task"] == task.key and job["over"] for job in store.jobs)
    parts = [store.id, task.key, str(over), *map(fingerprint, part)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _collect(
    client: Client,
    store: Store,
    task: Task,
    left: dict[str, Entry],
    job_id: str,
    on_run: Callable[[Run], None],
) -> None:
    """Hand over what the job has ended, until all of it has; takes it out of ``left``."""
    try:
        handle = client.job(job_id)
        finished = -1

        def hear(job: Job) -> None:
            nonlocal finished
            counts = job.counts
            now = counts.succeeded + counts.failed + counts.cancelled
            if now == finished:
                return
            finished = now
            for run in _ended(handle, task, left):
                on_run(run)

        handle.wait(on_update=hear)
    except ServiceError as error:
        if error.status != _GONE:
            raise
    store.add_job(task=task.key, job=job_id, over=True)


def _ended(handle: JobHandle, task: Task, left: dict[str, Entry]) -> Iterator[Run]:
    for result in handle.results():
        if result.prompt_id not in left or result.status not in _OVER:
            continue
        has_trace = result.status == "succeeded"
        rows = handle.trace(result.prompt_id).iterations if has_trace else ()
        yield task.run(left.pop(result.prompt_id), result, rows)
