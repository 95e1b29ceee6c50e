"""Transactions that outlive a short silence of the database."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_random_exponential

log = logging.getLogger("prelogit.workers.store")

T = TypeVar("T")


def transaction(
    store: sessionmaker[Session], work: Callable[[Session], T], *, patience_seconds: float
) -> T:
    """Commit what ``work`` does; while the database does not answer, do it again.

    Raises: whatever ``work`` raises; after ``patience_seconds`` the database's own error too.
    """

    def once() -> T:
        with store.begin() as session:
            return work(session)

    retrying = Retrying(
        retry=retry_if_exception_type((OperationalError, InterfaceError)),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        stop=stop_after_delay(patience_seconds),
        before_sleep=_told,
        reraise=True,
    )
    return retrying(once)


def _told(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    log.warning(
        "the store does not answer (%s), try %d", type(error).__name__, state.attempt_number
    )
