"""Counts the requests of a web service: by route, never by path, whose ids have no end."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"
GONE = "499"  # the client left before there was an answer
# A request may wait for a job's state for a minute.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class RequestFigures(NamedTuple):
    """What is counted of requests; labels: method, route (its template), status."""

    total: Counter
    seconds: Histogram
    open: Gauge


def request_figures(registry: CollectorRegistry, prefix: str) -> RequestFigures:
    """Figures named ``PREFIX_requests_total``, ``PREFIX_request_seconds``, ``PREFIX_requests_open``."""
    return RequestFigures(
        Counter(
            f"{prefix}_requests",
            "Requests that were answered, by the template of their route.",
            ("method", "route", "status"),
            registry=registry,
        ),
        Histogram(
            f"{prefix}_request_seconds",
            "Seconds until the answer began; a stream goes on after that.",
            ("method", "route"),
            buckets=SECONDS,
            registry=registry,
        ),
        Gauge(
            f"{prefix}_requests_open",
            "Requests under way now, open streams too.",
            registry=registry,
        ),
    )


class Measured:
    """ASGI middleware that counts what passes through it."""

    def __init__(self, app: App, figures: RequestFigures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        counted = False

        def count(status: str) -> None:
            nonlocal counted
            counted = True
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = route_of(scope)
            self._figures.total.labels(method, route, status).inc()
            self._figures.seconds.labels(method, route).observe(time.perf_counter() - began)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(str(message["status"]))
            await send(message)

        self._figures.open.inc()
        try:
            await self._app(scope, receive, watched)
        except Exception:
            if not counted:
                count("500")
            raise
        finally:
            self._figures.open.dec()
            if not counted:
                count(GONE)


def route_of(scope: Scope) -> str:
    """The template of the route that a request went to, as ``/v1/jobs/{job_id}``."""
    return str(getattr(scope.get("route"), "path", NO_ROUTE))
