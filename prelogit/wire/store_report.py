"""What the store's own process tells `prelogit doctor`, which must not load the store's code."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel

TRIES = 3


class Skew(BaseModel):
    """How far another clock is ahead of ours; half of the question's duration is unknown."""

    seconds: float
    error_seconds: float


class StoreReport(BaseModel):
    """A store that answers and has its tables.

    workers: alive ones, by model. waiting: queued prompts, by model. gateway: whether one was
    alive lately. clock: of a server; None for a file. ahead: workers that signed in the future, and
    by how many seconds.
    """

    silence_seconds: float
    workers: dict[str, int]
    waiting: dict[str, int]
    gateway: bool
    clock: Skew | None
    ahead: dict[str, float]


def skew(theirs: Callable[[], float], ours: Callable[[], float]) -> Skew:
    """Compare two clocks, both in Unix seconds; of a few tries the quickest."""
    found = []
    for _ in range(TRIES):
        before = ours()
        told = theirs()
        after = ours()
        found.append(Skew(seconds=told - (before + after) / 2, error_seconds=(after - before) / 2))
    return min(found, key=lambda one: one.error_seconds)
