"""Transactions that outlive a silence of the database, and one that takes nothing for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay
from tenacity.wait import wait_random_exponential

from db.trouble import refuses_writes, trouble

log = logging.getLogger("prelogit.workers.store")

T = TypeVar("T")


def transaction(
    store: sessionmaker[Session],
    work: Callable[[Session], T],
    *,
    patience_seconds: float,
    stopping: Callable[[], bool] | None = None,
) -> T:
    """Commit what ``work`` does; while the database does not answer, do it again.

    With ``stopping``, a database that is full or read-only is waited for until that says yes: it
    refuses whoever else would do the same work, so that giving up would only do it twice.

    Raises: whatever ``work`` raises; after ``patience_seconds`` the database's own error too.
    """
    late = stop_after_delay(patience_seconds)

    def once() -> T:
        with store.begin() as session:
            return work(session)

    def enough(state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome is not None else None
        if stopping is not None and refuses_writes(error):
            return stopping()
        return late(state)

    retrying = Retrying(
        retry=retry_if_exception(_passes),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        stop=enough,
        before_sleep=_told,
        reraise=True,
    )
    return retrying(once)


def _passes(error: BaseException) -> bool:
    return isinstance(error, OperationalError | InterfaceError) or refuses_writes(error)


def _told(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    said = trouble(error) if refuses_writes(error) else "the store does not answer"
    log.warning("%s (%s), try %d", said, type(error).__name__, state.attempt_number)
