"""Mends what was lost: re-sends wake-ups that no worker followed, and ends dead cancellations.

Every gateway runs this thread, a lease in the store lets one of them work at a time.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterable

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import leases, outbox, ownership
from prelogit.core.errors import StoreError

log = logging.getLogger("prelogit.api.reconcile")

LEASE = "reconciler"
INTERVALS_A_LEASE = 3


class Reconciler:
    """A thread that looks every ``interval_seconds`` for groups that need another wake-up.

    A group is woken again when its last wake-up is ``resend_seconds`` old and it still has
    prompts that nobody holds. ``on_trouble`` hears what the store refuses.
    """

    def __init__(
        self,
        store: sessionmaker[Session],
        again: Callable[[Iterable[str]], None],
        *,
        interval_seconds: float,
        resend_seconds: float,
        on_trouble: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._store = store
        self._again = again
        self._on_trouble = on_trouble
        self._interval_seconds = interval_seconds
        self._resend_seconds = resend_seconds
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after the round it is in."""
        self._stopped.set()
        self._thread.join()

    def look(self) -> list[str]:
        """One round. Returns the groups that were woken again; none when another gateway owns it."""
        ttl_seconds = INTERVALS_A_LEASE * self._interval_seconds
        with self._store.begin() as session:
            if ownership.acquire(session, LEASE, self._owner, ttl_seconds) is None:
                return []
            leases.reap(session)
            due = outbox.due(session, older_than_seconds=self._resend_seconds)
        if due:
            log.info("%d group(s) are woken again", len(due))
            self._again(due)
        return due

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_seconds):
            try:
                self.look()
            except (SQLAlchemyError, StoreError) as error:
                self._on_trouble(error)
                # The next round tries again: nothing is lost, for the store knows what is due.
                log.warning("the reconciler waits for the store: %s", type(error).__name__)
            except Exception:
                log.exception("the reconciler failed at this round")
