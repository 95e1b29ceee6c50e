"""The keys that were asked for lately, so that not every request asks the store."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from db import keys
from db.keys import StoredKey, secret_hash
from db.session import now, reading
from prelogit.core.errors import StoreError
from prelogit.wire.keys import KeyInfo, key_parts

log = logging.getLogger("prelogit.api.keys")

# A revoked key is refused after so long at the latest, by every gateway.
REMEMBERED_SECONDS = 2.0
NOTED_SECONDS = 10.0
_NO_HASH = "0" * 64


class _Remembered(NamedTuple):
    stored: StoredKey
    read_at: float


class KeyRing:
    """Opens keys, and a thread that notes in the store when each was last used."""

    def __init__(self, store: sessionmaker[Session]) -> None:
        self._store = store
        self._remembered: dict[str, _Remembered] = {}  # keys that exist, by id
        self._used: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="key uses", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after it has noted the last uses."""
        self._stopped.set()
        self._thread.join()

    async def open(self, text: str) -> KeyInfo | None:
        """The key whose text this is; None when it is none, is unknown, or opens nothing now.

        Raises: SQLAlchemyError: the store does not answer.
        """
        parts = key_parts(text)
        if parts is None:
            return None
        stored = await self._find(parts.id)
        # Compared also where there is nothing to compare with: the time tells nothing.
        expected = _NO_HASH if stored is None else stored.secret_hash
        right = hmac.compare_digest(secret_hash(parts.secret), expected)
        if stored is None or not right or not stored.usable(now()):
            return None
        with self._lock:
            self._used[parts.id] = now()
        return stored.info

    async def still_opens(self, key_id: str) -> bool:
        """Whether a key that was opened before still opens. Raises SQLAlchemyError."""
        stored = await self._find(key_id)
        return stored is not None and stored.usable(now())

    def forget(self, key_id: str) -> None:
        """Ask the store anew at the key's next use."""
        self._remembered.pop(key_id, None)

    async def _find(self, key_id: str) -> StoredKey | None:
        known = self._remembered.get(key_id)
        if known is not None and time.monotonic() - known.read_at < REMEMBERED_SECONDS:
            return known.stored
        read_at = time.monotonic()
        stored = await run_in_threadpool(self._read, key_id)
        if stored is None:
            self._remembered.pop(key_id, None)
        else:
            self._remembered[key_id] = _Remembered(stored, read_at)
        return stored

    def _read(self, key_id: str) -> StoredKey | None:
        with reading(self._store) as session:
            return keys.find(session, key_id)

    def note(self) -> None:
        """Writes the uses that were not written yet. Raises SQLAlchemyError, and keeps them."""
        with self._lock:
            used = dict(self._used)
        if not used:
            return
        with self._store.begin() as session:
            keys.used(session, used)
        with self._lock:
            for key_id, moment in used.items():
                if self._used.get(key_id) == moment:
                    del self._used[key_id]

    def _run(self) -> None:
        over = False
        while not over:
            over = self._stopped.wait(NOTED_SECONDS)
            try:
                self.note()
            except (SQLAlchemyError, StoreError) as error:
                log.warning("uses of keys wait for the store: %s", type(error).__name__)
            except Exception:
                log.exception("uses of keys cannot be noted")
