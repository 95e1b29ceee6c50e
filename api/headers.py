"""What every answer says to browsers, who else may read it, and which names the gateway answers to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import FastAPI
from pydantic import AfterValidator
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ProblemError, answer_of

NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# The page for people loads Swagger UI from where FastAPI says, and begins it by a line of its own.
PAGE = (
    "default-src 'none'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net; font-src https://cdn.jsdelivr.net; "
    "img-src 'self' data: https://fastapi.tiangolo.com https://cdn.redoc.ly; connect-src 'self'; "
    "worker-src blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
PAGES = ("/docs", "/redoc")
ALWAYS = ("127.0.0.1", "localhost", "::1")  # health checks of this machine
READ_BY_PAGES = ["Location", "Retry-After", "X-Request-Id"]
SENT_BY_PAGES = ["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"]


def _origins(told: tuple[str, ...]) -> tuple[str, ...]:
    for origin in told:
        parts = urlsplit(origin)
        whole = f"{parts.scheme}://{parts.netloc}"
        if origin != "*" and (parts.scheme not in ("http", "https") or origin != whole):
            raise ValueError(
                'each must be an origin such as "https://example.com", without a path and a slash at '
                'its end, or "*" for every page'
            )
    return told


def _names(told: tuple[str, ...]) -> tuple[str, ...]:
    for name in told:
        bare = name.removeprefix("*.")
        if not bare or any(mark in bare for mark in "*/:@ ") or name != name.lower():
            raise ValueError(
                'each must be a name such as "prelogit.example.com", in small letters and without a '
                'port, or "*.example.com" for all names below'
            )
    return told


Origins = Annotated[tuple[str, ...], AfterValidator(_origins)]
HostNames = Annotated[tuple[str, ...], AfterValidator(_names)]


def install(
    app: FastAPI, *, origins: Sequence[str], hosts: Sequence[str], hsts_seconds: int | None
) -> None:
    """Adds the headers, and what the settings open or close.

    Args:   origins: of pages that may read answers; none: no foreign page.
            hosts: names that are answered to; none: any. hsts_seconds: how long browsers use
            https alone; None: not told.
    """
    if hosts:
        app.add_middleware(NamedHosts, hosts=tuple(hosts))
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=SENT_BY_PAGES,
            expose_headers=READ_BY_PAGES,
        )
    app.add_middleware(SafeHeaders, hsts_seconds=hsts_seconds)  # last: on every answer


class SafeHeaders:
    """Says in every answer what browsers may do with it, and what may be kept."""

    def __init__(self, app: ASGIApp, hsts_seconds: int | None) -> None:
        self._app = app
        self._hsts_seconds = hsts_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                is_page = path.startswith(PAGES)
                headers.setdefault("Content-Security-Policy", PAGE if is_page else NOTHING)
                if path.startswith("/v1/"):
                    headers.setdefault("Cache-Control", "no-store")
                if self._hsts_seconds is not None:
                    headers["Strict-Transport-Security"] = f"max-age={self._hsts_seconds}"
            await send(message)

        await self._app(scope, receive, with_headers)


class NamedHosts:
    """Answers only requests for the names that it was told, so that a foreign name which is made
    to point here (DNS rebinding) opens nothing."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._named(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
            return
        problem = ProblemError(
            421,
            "this gateway does not answer to that host name: ask by one that it has, or have it put "
            "into PRELOGIT_ALLOWED_HOSTS",
        )
        await answer_of(problem)(scope, receive, send)

    def _named(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in ALWAYS or any(
            name.endswith(one[1:]) if one.startswith("*.") else name == one for one in self._hosts
        )
