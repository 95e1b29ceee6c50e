"""Rewards that did not steer, asked about the answers that were chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prelogit.data.entry import Entry
from prelogit.evaluation.store import Run, Store, Task
from prelogit.text import conversation

if TYPE_CHECKING:
    from prelogit.rewards.protocol import Score

_AT_ONCE = 64


def unscored(name: str, tasks: Sequence[Task], store: Store) -> list[tuple[Entry, Run]]:
    """The chosen answers that this reward neither steered nor has scored before."""
    found = []
    for task in tasks:
        for entry in task.entries:
            run = store.run(task, entry)
            if run is not None and run.reward != name and store.measure(run, name) is None:
                found.append((entry, run))
    return found


def score_chosen(name: str, score: Score, tasks: Sequence[Task], store: Store) -> None:
    """Score them all, and keep each part as soon as it is there.

    Raises: RewardError: the reward does not answer, or answers nonsense.
    """
    waiting = unscored(name, tasks, store)
    for start in range(0, len(waiting), _AT_ONCE):
        part = waiting[start : start + _AT_ONCE]
        for (_, run), value in zip(part, asyncio.run(_scored(score, part)), strict=True):
            store.add_measure(run, name, value)


async def _scored(score: Score, part: Sequence[tuple[Entry, Run]]) -> list[float]:
    scores = await score(
        [conversation(entry.item) for entry, _ in part],
        [run.result.response or "" for _, run in part],
    )
    return [float(value) for value in scores.rewards]
