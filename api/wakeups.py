"""Wakes workers: reads the outbox and puts group ids on their models' queues, off every request's path.

The store is the truth and a wake-up may be lost or doubled, so nothing here is urgent: while
Redis is away the outbox simply grows, and is sent once it is back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence

from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import outbox
from db.session import reading
from prelogit.core.errors import StoreError
from prelogit.wire.wakeup import RUN_GROUP, TRANSPORT, queue_of

log = logging.getLogger("prelogit.api.wakeups")

ROWS_AT_ONCE = 500
# A queue so long has enough to wake its workers with; without any, it would grow for ever.
LONGEST_QUEUE = 1000
LONGEST_PAUSE_SECONDS = 5.0
PING_SECONDS = 2.0
QUEUE_FAILURES = (CeleryError, KombuError, OperationalError, RedisError, OSError)


def make_producer(url: str) -> Celery:
    """A Celery application that only sends; it connects when it first has to."""
    producer = Celery("prelogit.gateway", broker=url, set_as_current=False)
    producer.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_publish_retry=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=TRANSPORT,
        broker_pool_limit=1,
    )
    return producer


class Publisher:
    """A thread that empties the outbox onto the queue. ``nudge`` it after a commit."""

    def __init__(self, url: str, store: sessionmaker[Session], *, interval_seconds: float) -> None:
        self._producer = make_producer(url)
        self._store = store
        self._interval_seconds = interval_seconds
        self._again: dict[str, None] = {}  # group ids to send besides the outbox, in order
        self._lock = threading.Lock()
        self._nudged = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wake-ups", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and its connection; what was not sent stays in the outbox."""
        self._stopped.set()
        self._nudged.set()
        self._thread.join()
        self._producer.pool.force_close_all()
        self._producer.close()

    def nudge(self) -> None:
        """Says that the outbox may have new rows. Never blocks, never fails."""
        self._nudged.set()

    def again(self, group_ids: Iterable[str]) -> None:
        """Sends these groups too, unless their queue is full of wake-ups that nobody follows."""
        with self._lock:
            self._again.update(dict.fromkeys(group_ids))
        self._nudged.set()

    def ping(self) -> None:
        """Asks the queue for a sign of life.

        Raises: one of ``QUEUE_FAILURES``, after two seconds at most.
        """
        quick = {**TRANSPORT, "socket_timeout": PING_SECONDS}
        with self._producer.connection_for_write(transport_options=quick) as connection:
            connection.default_channel.client.ping()

    def lengths(self, models: Iterable[str]) -> dict[str, int]:
        """How many wake-ups are on the queue of each model.

        Raises: one of ``QUEUE_FAILURES``, after two seconds at most.
        """
        quick = {**TRANSPORT, "socket_timeout": PING_SECONDS}
        with self._producer.connection_for_write(transport_options=quick) as connection:
            client = connection.default_channel.client
            return {model: client.llen(queue_of(model)) for model in models}

    def _run(self) -> None:
        pause_seconds = 0.1
        while not self._stopped.is_set():
            self._nudged.wait(self._interval_seconds)
            self._nudged.clear()
            if self._stopped.is_set():
                return
            if self._tried():
                pause_seconds = 0.1
                continue
            self._stopped.wait(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
            self._nudged.set()

    def _tried(self) -> bool:
        """Empties the outbox; False when that has to be tried again. The thread outlives all."""
        try:
            self._empty()
        except (SQLAlchemyError, StoreError) as error:
            log.warning("wake-ups wait for the store: %s", type(error).__name__)
        except QUEUE_FAILURES as error:
            log.warning("wake-ups wait for the queue: %s", type(error).__name__)
        except Exception:
            log.exception("wake-ups cannot be sent")
        else:
            return True
        return False

    def _empty(self) -> None:
        """Sends all that waits. No transaction is open while the queue is spoken to."""
        while True:
            with reading(self._store) as session:
                rows = outbox.pending(session, ROWS_AT_ONCE)
            if not rows:
                break
            done: list[int] = []
            try:
                for row in rows:
                    self._send(row.group_id, row.model)
                    done.append(row.id)
            finally:
                if done:
                    with self._store.begin() as session:
                        outbox.sent(session, done)
        with self._lock:
            again = list(self._again)
        for at in range(0, len(again), ROWS_AT_ONCE):
            self._send_again(again[at : at + ROWS_AT_ONCE])

    def _send_again(self, group_ids: Sequence[str]) -> None:
        with reading(self._store) as session:
            models = outbox.models(session, group_ids)
        full = self._full(set(models.values()))
        for group_id in group_ids:
            model = models.get(group_id)
            if model is not None and model not in full:
                self._send(group_id, model)
            with self._lock:
                self._again.pop(group_id, None)

    def _full(self, models: Iterable[str]) -> set[str]:
        """Models whose queue takes no second wake-ups: the store will name those again."""
        with self._producer.connection_for_write() as connection:
            client = connection.default_channel.client
            return {model for model in models if client.llen(queue_of(model)) >= LONGEST_QUEUE}

    def _send(self, group_id: str, model: str) -> None:
        if self._stopped.is_set():
            raise OperationalError("the gateway is ending")
        self._producer.send_task(
            RUN_GROUP, args=[group_id], queue=queue_of(model), ignore_result=True, retry=False
        )
