"""No request body larger than the service wants to hold in memory."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reward_service.errors import ProblemError, make_problem


class BodyLimit:
    """Refuses a body by its announced length, or once the bytes themselves pass the limit.

    It is refused where it is read, so that each protocol says it in its own form.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._problem = make_problem(
            413,
            f"the body is larger than {limit_bytes} bytes: send fewer responses a request, or raise "
            "PRELOGIT_REWARD_MAX_BODY_BYTES",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        too_large = announced.isdigit() and int(announced) > self._limit_bytes
        received = 0

        async def counted() -> Message:
            nonlocal received
            if too_large:
                raise ProblemError(self._problem)
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit_bytes:
                raise ProblemError(self._problem)
            return message

        await self._app(scope, counted, send)
