"""The gate: every request passes it before anything else looks at it."""

from __future__ import annotations

import hmac
import logging
import math

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.deps import Gateway
from api.errors import ProblemError, answer_of
from api.keys.caller import NOBODY, Caller, holder, unauthorized
from api.settings import Settings
from prelogit.core.errors import StoreError
from prelogit.wire.keys import PREFIX, without_keys

log = logging.getLogger("prelogit.api.keys")

LIVE = "/health/live"
WATCHED = frozenset({"/health/ready", "/metrics"})  # what the health token opens
PAGES = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
LONGEST_PATH = 200
_WATCHMAN = Caller("", "", frozenset({"read"}))


class _Closed(Exception):  # noqa: N818 - ends an answer whose key was revoked
    pass


class Gate:
    """Finds out who asks, for all that the application answers; 401 for nobody.

    A key that is revoked while its answer is under way gets no more of it.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._required = settings.keys_required
        self._open = {LIVE, *(PAGES if settings.docs_open else ())}
        token = settings.health_token
        self._token = None if token is None else token.get_secret_value()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        gateway: Gateway = scope["app"].state.gateway
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if caller.key is not None and not await gateway.ring.still_opens(caller.key.id):
                raise _Closed
            started = True
            await send(message)

        try:
            caller = await self._caller(scope, gateway)
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, watched)
        except _Closed:
            if started:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await answer_of(unauthorized())(scope, receive, send)
        except ProblemError as error:
            if error.problem.status == 401:
                log.info(
                    "refused %s %r: no key that opens it", scope["method"], _told(scope["path"])
                )
            await answer_of(error)(scope, receive, send)

    async def _caller(self, scope: Scope, gateway: Gateway) -> Caller:
        if scope["path"] in self._open:
            return NOBODY
        token = _bearer(Headers(scope=scope))
        if token is not None and self._is_watchman(scope["path"], token):
            return _WATCHMAN
        # Where none is asked for, clients of other services send a key of theirs all the same.
        if not self._required and not (token or "").startswith(PREFIX):
            return NOBODY
        try:
            key = None if token is None else await gateway.ring.open(token)
        except (SQLAlchemyError, StoreError) as error:
            log.error("a key cannot be looked up: %s", type(error).__name__)
            raise ProblemError(
                503,
                "the store does not answer, so that no key can be looked up: try again",
                headers={"Retry-After": "5"},
            ) from None
        if key is None:
            raise unauthorized()
        if key.rate_per_minute is not None:
            await _slow_down(gateway, key.id, key.rate_per_minute)
        return holder(key)

    def _is_watchman(self, path: str, token: str) -> bool:
        return (
            path in WATCHED
            and self._token is not None
            and hmac.compare_digest(token.encode(), self._token.encode())
        )


def _told(path: str) -> str:
    """A path as the log may have it: some put a key there, and some a book."""
    return without_keys(path[:LONGEST_PATH])


async def _slow_down(gateway: Gateway, key_id: str, per_minute: int) -> None:
    """Counts a request. Raises ProblemError 429: the key has none left."""
    wait = await run_in_threadpool(gateway.rates.take, key_id, per_minute)
    if wait > 0:
        seconds = math.ceil(wait)
        raise ProblemError(
            429,
            f"this key may send {per_minute:,} requests a minute: send this again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )


def _bearer(headers: Headers) -> str | None:
    """What the Authorization header bears; None where there is none, or another scheme."""
    given = headers.getlist("authorization")
    if len(given) != 1:
        return None
    scheme, _, token = given[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
