"""Deletes what has been kept long enough. Every gateway runs this thread, one of them works."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import ownership, retention
from db.session import now, reading
from prelogit.core.errors import StoreError

log = logging.getLogger("prelogit.api.retention")

LEASE = "retention"
INTERVAL_SECONDS = 60.0
LEASE_SECONDS = 180.0


class Sweeper:
    """A thread that looks once a minute for ended jobs whose time is over.

    days: after its end a job is deleted with all it has; None: never. candidates_days: so long
    are the candidates kept of its prompts that are done.
    """

    def __init__(
        self,
        store: sessionmaker[Session],
        *,
        days: float | None,
        candidates_days: float | None,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._store = store
        self._days = days
        self._candidates_days = candidates_days
        self._interval_seconds = interval_seconds
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after the transaction it is in."""
        self._stopped.set()
        self._thread.join()

    def look(self) -> int:
        """One round. Returns: how many jobs were deleted."""
        if not self._owns():
            return 0
        self._mark()
        deleted = 0
        if self._days is not None:
            before = now() - timedelta(days=self._days)
            while (job_id := self._next(retention.expired, before)) is not None:
                while self._do(retention.thin, job_id, before):
                    pass
                if not self._owns():
                    return deleted
                deleted += self._do(retention.remove, job_id, before)
        if self._candidates_days is not None:
            before = now() - timedelta(days=self._candidates_days)
            while (job_id := self._next(retention.with_candidates, before)) is not None:
                while self._do(retention.remove_candidates, job_id, before):
                    pass
                if not self._owns():
                    return deleted
        if deleted:
            log.info("%d job(s) were deleted: their time is over", deleted)
        return deleted

    def _mark(self) -> None:
        last: str | None = ""
        while last is not None and not self._stopped.is_set():
            with reading(self._store) as session:
                marks, last = retention.unmarked(session, self._days, after=last)
            if marks:
                with self._store.begin() as session:
                    retention.mark(session, marks)

    def _owns(self) -> bool:
        with self._store.begin() as session:
            return ownership.acquire(session, LEASE, self._owner, LEASE_SECONDS) is not None

    def _next(
        self, find: Callable[[Session, datetime], str | None], before: datetime
    ) -> str | None:
        if self._stopped.is_set():
            return None
        with reading(self._store) as session:
            return find(session, before)

    def _do(
        self, work: Callable[[Session, str, datetime], bool], job_id: str, before: datetime
    ) -> bool:
        """A transaction, unless the gateway ends."""
        if self._stopped.is_set():
            return False
        with self._store.begin() as session:
            return work(session, job_id, before)

    def _run(self) -> None:
        pause_seconds = min(1.0, self._interval_seconds)
        while not self._stopped.wait(pause_seconds):
            pause_seconds = self._interval_seconds
            try:
                self.look()
            except (SQLAlchemyError, StoreError) as error:
                log.warning("retention waits for the store: %s", type(error).__name__)
            except Exception:
                log.exception("retention failed at this round")
