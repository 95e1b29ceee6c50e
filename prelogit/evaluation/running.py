"""Run whatever is missing, task by task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prelogit.data.entry import Entry
from prelogit.evaluation.arms import Arm
from prelogit.evaluation.store import Run, Store, Task

# Searches the task's prompts, and hands over each run as soon as it has ended.
Solver = Callable[[Task, Callable[[Run], None]], None]


def tasks_of(
    rewards: Sequence[str], arms: Sequence[Arm], seeds: Sequence[int], entries: Sequence[Entry]
) -> list[Task]:
    """All of them, a seed at a time, so that methods can be compared early."""
    return [
        Task(reward, arm, seed, list(entries))
        for seed in seeds
        for reward in rewards
        for arm in arms
    ]


def run_all(
    solver: Solver,
    tasks: Sequence[Task],
    store: Store,
    on_run: Callable[[Task, Run], None] = lambda task, run: None,
) -> list[Run]:
    """Search the prompts that have no answer yet and keep each at once.

    A prompt that fails is not kept, so that it is tried again next time.
    Returns: the runs that failed.
    Raises:  InputError: the model or reward is not that of the runs that are there.
    """
    failed: list[Run] = []
    for task in tasks:

        def ended(run: Run, task: Task = task) -> None:
            if run.failure is None:
                store.add(run)
            else:
                failed.append(run)
            on_run(task, run)

        missing = store.missing(task)
        if missing:
            solver(task._replace(entries=missing), ended)
    return failed
