"""How long to wait for a job, and for a gateway that is gone for a moment."""

from __future__ import annotations

import time

from prelogit.client.answers import UNREACHABLE
from prelogit.core.errors import ServiceError
from prelogit.wire.jobs import Job

_HOLD_SECONDS = 30.0  # the gateway answers earlier when the job's status changes
_UPDATE_SECONDS = 1.0  # where somebody watches the progress
_AWAY_SECONDS = 30.0
PAUSE_SECONDS = 1.0


class Patience:
    """The clock of one wait. ``timeout`` in seconds, None for ever."""

    def __init__(self, timeout: float | None = None, *, watched: bool = False) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._hold = _UPDATE_SECONDS if watched else _HOLD_SECONDS
        self._away_since: float | None = None

    def hold_seconds(self) -> float:
        """How long the gateway may hold the next answer back."""
        if self._deadline is None:
            return self._hold
        return min(self._hold, max(0.0, self._deadline - time.monotonic()))

    def check(self, job: Job) -> None:
        """The gateway has answered. Raises TimeoutError: the time is over."""
        self._away_since = None
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise TimeoutError(
                f"{job.id} is still {job.status}: wait longer, or look again later; it goes on"
            )

    def forgive(self, error: ServiceError) -> float:
        """Bears with a gateway that is not there, as while it restarts, or that was asked too
        often. Returns for how many seconds to leave it alone. Raises the error else."""
        now = time.monotonic()
        if error.status == 429:
            pause = max(PAUSE_SECONDS, error.retry_after_seconds or 0.0)
            if self._deadline is not None and now + pause > self._deadline:
                raise error
            return pause
        if error.status not in (UNREACHABLE, 502, 503, 504):
            raise error
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since > _AWAY_SECONDS or (self._deadline or now + 1) <= now:
            raise error
        return PAUSE_SECONDS
