"""A request has an id: the client's own, or one that is made; it stands in the log and in the answer."""

from __future__ import annotations

import re
import uuid

from prelogit.telemetry.baggage import unpacked
from prelogit.telemetry.place import enter
from prelogit.telemetry.requests import App, Message, Receive, Scope, Send

HEADER = b"x-request-id"
# It is written into logs: no spaces, no line ends, no end.
SANE = re.compile(rb"[A-Za-z0-9._~:+/=@-]{1,128}")


class Identified:
    """ASGI middleware. ``trusts_baggage``: what the caller says of job and prompt is logged too."""

    def __init__(self, app: App, *, trusts_baggage: bool = False) -> None:
        self._app = app
        self._trusts_baggage = trusts_baggage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(HEADER, b"")
        name = given.decode() if SANE.fullmatch(given) else uuid.uuid4().hex
        # Not only within a block: the server logs what escapes from here in the same task.
        enter(request=name)
        if self._trusts_baggage:
            enter(**unpacked(headers.get(b"baggage", b"").decode("latin-1")))

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, name.encode())]
            await send(message)

        await self._app(scope, receive, named)
