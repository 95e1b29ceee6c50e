"""A TCP proxy of our own that can delay, drop and reset what goes through it."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from typing import Literal

Mode = Literal["pass", "delay", "drop", "reset"]

CHUNK_BYTES = 65_536
DELAY_SECONDS = 0.3
RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends RST


class Proxy:
    """Listens on a loopback port and speaks for one server, at ``port`` or at a unix ``path``.

    ``pass`` hands on; ``delay`` too, each chunk late. With ``drop`` what comes is lost and
    connections stay open and silent until the fault ends; then they break, for a stream that
    misses bytes cannot go on. ``reset`` breaks every connection, old and new.
    """

    def __init__(self, *, port: int | None = None, path: str | None = None) -> None:
        self._target_port, self._target_path = port, path
        self._mode: Mode = "pass"
        self._open: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self.port = 0
        self._thread.start()
        self._listening.wait()

    def set(self, mode: Mode) -> None:
        """From now on so; what lost bytes in the mode before is broken off."""
        self._on_loop(lambda: self._change(mode))

    def close(self) -> None:
        """Ends it and all connections."""
        self._on_loop(self._loop.stop)
        self._thread.join()

    def _on_loop(self, work: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(work)

    def _change(self, mode: Mode) -> None:
        self._mode = mode
        for connection in tuple(self._open):
            if mode == "reset" or connection.lossy:
                connection.break_off()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=CHUNK_BYTES)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for connection in tuple(self._open):
            connection.break_off()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self._open.add(connection)
        try:
            if self._mode == "reset":
                return
            if self._mode == "drop":
                connection.lossy = True
                await reader.read()  # until one side has had enough
                return
            there, back = await self._dial()
            connection.writers.append(back)
            ways = [
                asyncio.ensure_future(self._carry(connection, reader, back)),
                asyncio.ensure_future(self._carry(connection, there, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # nobody listens there: the client sees a connection that breaks
        finally:
            self._open.discard(connection)
            connection.break_off()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target_path is not None:
            return await asyncio.open_unix_connection(self._target_path)
        return await asyncio.open_connection("127.0.0.1", self._target_port)

    async def _carry(
        self, connection: _Connection, source: asyncio.StreamReader, to: asyncio.StreamWriter
    ) -> None:
        try:
            while chunk := await source.read(CHUNK_BYTES):
                if self._mode == "delay":
                    await asyncio.sleep(DELAY_SECONDS)
                if self._mode == "drop":
                    connection.lossy = True
                if not connection.lossy:
                    to.write(chunk)
                    await to.drain()
        except OSError:
            return  # one side is gone: the other one goes too


class _Connection:
    """Both ends of what one client opened. ``lossy``: bytes were dropped."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writers = [writer]
        self.lossy = False

    def break_off(self) -> None:
        for writer in self.writers:
            told = writer.get_extra_info("socket")
            if told is not None and told.family == socket.AF_INET and told.fileno() >= 0:
                told.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
