"""How long a server waits for a client that does not say what it wants, or says it too slowly.

uvicorn waits for ever, so that some hundred idle connections would use up its file descriptors.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from prelogit.one_length import OneLength

log = logging.getLogger("prelogit.slow_clients")

HEAD_SECONDS = 15.0
# Of a body at least so much must come in so many seconds: 1 KiB a second.
BODY_SECONDS = 30.0
BODY_BYTES = 30 * 1024


class Patient(H11Protocol):
    """uvicorn's protocol (``http=Patient``), which ends a connection whose request does not come."""

    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS
    body_bytes = BODY_BYTES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = OneLength(h11.SERVER)
        self._timer: asyncio.TimerHandle | None = None
        self._in_body = False
        self._received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += len(data)
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        """Sets the clock, where a part of a request is still to come."""
        state = self.conn.their_state
        in_body = state is h11.SEND_BODY
        if self.transport.is_closing() or not (in_body or state is h11.IDLE):
            self._unwatch()
        elif self._timer is None or in_body != self._in_body:
            self._set(in_body)

    def _set(self, in_body: bool) -> None:
        self._unwatch()
        self._in_body, self._received = in_body, 0
        seconds = self.body_seconds if in_body else self.head_seconds
        self._timer = self.loop.call_later(seconds, self._look)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        # The application may be the slow one: it has not taken yet what has come.
        if self._in_body and (self._received >= self.body_bytes or self.flow.read_paused):
            self._set(in_body=True)
            return
        log.info("a connection is ended: its request did not come in time")
        self.transport.close()
