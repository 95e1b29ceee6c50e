"""What the code that runs now works on, so that every line of a log can say it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Request id, job, prompt, arm (0: the method) and iteration (from 1), as far as there are any."""

    request: str | None = None
    job: str | None = None
    prompt: str | None = None
    arm: int | None = None
    iteration: int | None = None


_here: ContextVar[Place] = ContextVar("place", default=Place())  # noqa: B039 - a tuple


def here() -> Place:
    """The place of this task or thread. Tasks, and threads that asyncio starts, inherit it."""
    return _here.get()


def enter(**parts: Any) -> None:
    """From here on, for a task that ends with its work, as one request of a web service does."""
    _here.set(_here.get()._replace(**parts))


@contextmanager
def at(**parts: Any) -> Iterator[None]:
    """Within a block."""
    before = _here.set(_here.get()._replace(**parts))
    try:
        yield
    finally:
        _here.reset(before)
