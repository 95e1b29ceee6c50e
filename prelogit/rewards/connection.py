"""An HTTP client that is open while somebody needs it, and never longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import httpx


class _Open:
    """A client, and how many need it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.users = 0


class SharedClient:
    """One client for all who overlap in time, opened by the first and closed by the last.

    Each event loop has its own: connections belong to the loop that opened them, and a
    reward may be used by one ``asyncio.run`` after another.
    """

    def __init__(self, create: Callable[[], httpx.AsyncClient]) -> None:
        self._create = create
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Open] = WeakKeyDictionary()

    async def enter(self) -> httpx.AsyncClient:
        """The running loop's client; ``leave`` must follow."""
        loop = asyncio.get_running_loop()
        shared = self._by_loop.get(loop)
        if shared is None:
            shared = self._by_loop[loop] = _Open(self._create())
        shared.users += 1
        return shared.client

    async def leave(self) -> None:
        """The other half of ``enter``."""
        loop = asyncio.get_running_loop()
        shared = self._by_loop[loop]
        shared.users -= 1
        if shared.users == 0:
            del self._by_loop[loop]  # first, so that who comes meanwhile opens a new one
            await shared.client.aclose()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[httpx.AsyncClient]:
        """The client for the length of a block."""
        client = await self.enter()
        try:
            yield client
        finally:
            await self.leave()
