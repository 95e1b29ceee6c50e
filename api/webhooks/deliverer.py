"""Delivers webhook events: a thread in every gateway, a task for each post.

A receiver that hangs holds at most ``A_HOST`` of the ``SLOTS``; the store knows what is due, so a
gateway that dies loses nothing, and another one goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

import httpx
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from api.settings import Settings
from api.webhooks.figures import Figures
from api.webhooks.post import GONE, Outcome, attempt
from db import deliveries
from db.deliveries import Claimed
from db.session import now, reading
from prelogit.core.errors import StoreError

log = logging.getLogger("prelogit.api.webhooks")
T = TypeVar("T")

SLOTS = 64
A_HOST = 4
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 2 * 3600.0
LEASE_MARGIN_SECONDS = 20.0


def again_at(one: Claimed, outcome: Outcome, *, hours: float, chance: float) -> datetime | None:
    """When to try again after a failure; None: never.

    The pauses double from 5 seconds to 2 hours, each shortened by up to a half, so that events that
    failed together do not come back together. A receiver that asks for a longer pause has it, up to
    2 hours, and not beyond the last moment of the event.
    Args:   hours: how long after the event it is given up. chance: from 0 to 1.
    """
    if outcome.status == GONE:
        return None
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(one.attempt - 1, 30), LONGEST_PAUSE_SECONDS)
    time, last = now(), one.created_at + timedelta(hours=hours)
    at = time + timedelta(seconds=pause * (1 - chance / 2))
    if at > last:
        return None
    asked = time + timedelta(seconds=min(outcome.later_seconds, LONGEST_PAUSE_SECONDS))
    return min(max(at, asked), last)


class Deliverer:
    """A thread that looks every ``outbox_seconds`` for events that are due, and posts them."""

    def __init__(self, store: sessionmaker[Session], settings: Settings, figures: Figures) -> None:
        self._store = store
        self._figures = figures
        self._settings = settings
        self._lease_seconds = settings.webhook_timeout_seconds + LEASE_MARGIN_SECONDS
        self._certificates: ssl.SSLContext | None = None
        self._busy: Counter[str] = Counter()
        self._posts: set[asyncio.Task[None]] = set()
        self._stopped = threading.Event()
        # Names are looked up in threads, and a name server may be silent: that delays no other,
        # and the store has a thread of its own.
        self._lookups = ThreadPoolExecutor(SLOTS, thread_name_prefix="webhook-names")
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="webhook-store")
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what is being posted is broken off, and due again at once."""
        self._stopped.set()
        self._thread.join()
        self._storing.shutdown()
        self._lookups.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(self._lookups)
        try:
            loop.run_until_complete(self._deliver())
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _deliver(self) -> None:
        while not self._stopped.is_set():
            try:
                claimed = await self._claim()
            except (SQLAlchemyError, StoreError) as error:
                log.warning("webhooks wait for the store: %s", type(error).__name__)
                claimed = []
            except Exception:
                log.exception("webhooks cannot be delivered")
                claimed = []
            for one in claimed:
                self._busy[one.host] += 1
                task = asyncio.create_task(self._post(one))
                self._posts.add(task)
                task.add_done_callback(self._posts.discard)
            await self._pause(bool(claimed))
        for task in self._posts:
            task.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)

    async def _pause(self, busy: bool) -> None:
        """Until the next look; a short one while there is something to do and room to do it."""
        left = 0.05 if busy and len(self._posts) < SLOTS else self._settings.outbox_seconds
        while left > 0 and not self._stopped.is_set():
            step = min(left, 0.1)
            await asyncio.sleep(step)
            left -= step

    async def _claim(self) -> list[Claimed]:
        room = SLOTS - len(self._posts)
        full = {host for host, posts in self._busy.items() if posts >= A_HOST}
        most = A_HOST - max((n for host, n in self._busy.items() if host not in full), default=0)

        def claim() -> list[Claimed]:
            with reading(self._store) as session:  # looking takes no lock
                if not deliveries.are_due(session):
                    return []
            with self._store.begin() as session:
                return deliveries.claim(
                    session,
                    limit=room,
                    a_host=most,
                    without=full,
                    lease_seconds=self._lease_seconds,
                )

        return await self._in_store(claim) if room > 0 else []

    async def _post(self, one: Claimed) -> None:
        try:
            if self._certificates is None:
                self._certificates = httpx.create_ssl_context()  # slow to read: once is enough
            outcome = await attempt(one, self._settings, self._certificates)
            await self._in_store(lambda: self._note(one, outcome))
        except asyncio.CancelledError:
            self._put_back(one)
            raise
        except (SQLAlchemyError, StoreError) as error:
            # Its lease ends, and it is due again: the receiver knows it by its id.
            log.warning("event %s waits for the store: %s", one.id, type(error).__name__)
        finally:
            self._busy[one.host] -= 1
            if not self._busy[one.host]:
                del self._busy[one.host]

    def _note(self, one: Claimed, outcome: Outcome) -> None:
        at = again_at(one, outcome, hours=self._settings.webhook_hours, chance=random.random())
        with self._store.begin() as session:
            if outcome.error is None:
                deliveries.delivered(session, one, outcome.status or 0)
            else:
                deliveries.failed(
                    session, one, status=outcome.status, error=outcome.error, again_at=at
                )
        self._figures.note(outcome, given_up=outcome.error is not None and at is None)
        if outcome.error is None:
            return
        told = "is given up" if at is None else "will be tried again"
        # The URL may hold what is not for logs; the host is enough to know whom to ask.
        log.warning("event %s to %s %s: %s", one.id, one.host, told, outcome.error)

    def _put_back(self, one: Claimed) -> None:
        with contextlib.suppress(SQLAlchemyError, StoreError), self._store.begin() as session:
            deliveries.put_back(session, one)

    async def _in_store(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._storing, work)
