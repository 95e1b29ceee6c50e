"""When the store last took nothing: it still answers whoever only looks, also those who ask for its health."""

from __future__ import annotations

import time
from collections.abc import Callable

from db.trouble import refuses_writes, trouble

REMEMBERED_SECONDS = 30.0


class Refusals:
    """The last write that the store refused, because it is full or read-only.

    ``clock`` gives seconds, and never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[float, str] | None = None

    def note(self, error: Exception) -> None:
        """Remembers an error of the store, where it is one that tells of this."""
        if refuses_writes(error):
            self._last = self._clock(), trouble(error)

    def lately(self) -> str | None:
        """What was wrong in the last half minute, and the cure."""
        last = self._last
        if last is None or self._clock() - last[0] > REMEMBERED_SECONDS:
            return None
        return last[1]
