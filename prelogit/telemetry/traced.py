"""A span for each request of a web service, within the trace that its client tells of."""

from __future__ import annotations

from prelogit.telemetry import tracing
from prelogit.telemetry.requests import App, Message, Receive, Scope, Send, route_of

# Asked every few seconds by machines.
QUIET = ("/health/", "/metrics")


class Traced:
    """ASGI middleware. A stream's span lasts as long as the stream."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not tracing.is_on() or str(scope["path"]).startswith(QUIET):
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        span = tracing.open_span(scope["method"], within=headers, kind="server")
        assert span is not None  # noqa: S101 - it is on

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                route, status = route_of(scope), int(message["status"])
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.request.method", scope["method"])
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    tracing.failed(span, str(status))
            await send(message)

        with tracing.entered(span):
            await self._app(scope, receive, watched)
