"""A thread that keeps a worker's lease alive and shows that the worker lives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import leases, presence
from db.leases import Claim
from prelogit.core.errors import StoreError
from prelogit.telemetry.place import at, enter

log = logging.getLogger("prelogit.workers.heartbeat")

BEATS_A_LEASE = 3


class Held:
    """A claim, and which of its prompts are still this worker's to finish.

    A prompt leaves ``open`` when its result is written (``close``) or when another worker
    holds it now (``lose``). Used by the searching thread and the heartbeat at once.
    ``on_loss`` is called for each prompt that is lost.
    """

    def __init__(self, claim: Claim, on_loss: Callable[[], None] = lambda: None) -> None:
        self.claim, self.on_loss = claim, on_loss
        self._open = {prompt.prompt_id for prompt in claim.prompts}
        self._lock = threading.Lock()

    @property
    def open(self) -> frozenset[str]:
        """Ids of the prompts that are neither ended nor lost."""
        with self._lock:
            return frozenset(self._open)

    def close(self, prompt_id: str) -> None:
        """The prompt ends by this worker's hand."""
        with self._lock:
            self._open.discard(prompt_id)

    def reopen(self, prompt_id: str) -> None:
        """Its end could not be written."""
        with self._lock:
            self._open.add(prompt_id)

    def lose(self, prompt_id: str) -> None:
        """Another worker has the prompt: nothing more is written for it."""
        with self._lock:
            if prompt_id not in self._open:
                return
            self._open.discard(prompt_id)
        self.on_loss()
        with at(job=self.claim.job_id, prompt=prompt_id):
            log.warning("lease lost job=%s prompt=%r", self.claim.job_id, prompt_id)


class Heartbeat:
    """Beats every third of a lease, from ``start`` to ``stop``; silence of the store is waited out."""

    def __init__(
        self,
        store: sessionmaker[Session],
        *,
        owner: str,
        model: str,
        ttl_seconds: float,
        on_loss: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_loss = on_loss
        self._store, self._owner, self._model, self._ttl = store, owner, model, ttl_seconds
        self._held: Held | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Beats once, then starts the thread. Raises SQLAlchemyError."""
        self.beat()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after the beat it is in, and takes this worker from the living."""
        self._stopped.set()
        self._thread.join()
        try:
            with self._store.begin() as session:
                presence.leave(session, self._owner)
        except (SQLAlchemyError, StoreError) as error:
            # It is taken for alive a while longer.
            log.warning("cannot say goodbye to the store (%s)", type(error).__name__)

    @contextmanager
    def holding(self, claim: Claim) -> Iterator[Held]:
        """Renews the claim's lease while the block runs."""
        held = Held(claim, self._on_loss)
        self._held = held
        try:
            yield held
        finally:
            self._held = None

    def beat(self) -> None:
        """One sign of life, and one renewal of what is held. Raises SQLAlchemyError."""
        held = self._held
        before = held.open if held is not None else frozenset()
        with self._store.begin() as session:
            presence.beat(
                session, self._owner, self._model, "idle" if held is None else "searching"
            )
            renewed = (
                leases.renew(session, held.claim, ttl_seconds=self._ttl)
                if held is not None
                else frozenset[str]()
            )
        if held is not None:
            for prompt_id in before - renewed:
                held.lose(prompt_id)

    def _run(self) -> None:
        while not self._stopped.wait(self._ttl / BEATS_A_LEASE):
            held = self._held
            enter(job=None if held is None else held.claim.job_id)
            try:
                self.beat()
            except (SQLAlchemyError, StoreError) as error:
                log.warning("heartbeat waits for the store (%s)", type(error).__name__)
            except Exception:
                log.exception("heartbeat failed; the next one tries again")
