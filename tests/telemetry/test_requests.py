"""Requests are counted by route: never by a path, a made-up method or an id."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry

from prelogit.telemetry.metrics import exposed, make_registry
from prelogit.telemetry.requests import Measured, request_figures


def service(registry: CollectorRegistry) -> FastAPI:
    app = FastAPI()
    router = APIRouter(prefix="/v1/things")

    @router.get("/{thing}")
    def thing(thing: str) -> str:
        if thing == "broken":
            raise ValueError(thing)
        return thing

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    app.include_router(router)
    app.add_middleware(Measured, figures=request_figures(registry, "some"))
    return app


async def ask(app: FastAPI, asked: Iterable[tuple[str, str]]) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        for method, path in asked:
            await http.request(method, path)


async def test_answers_are_counted_by_the_template_of_their_route() -> None:
    registry = make_registry()
    things = [("GET", f"/v1/things/{number}") for number in range(30)]
    await ask(
        service(registry),
        [*things, ("GET", "/v1/things/broken"), ("POST", "/v1/things/1"), ("GET", "/no/1"),
         ("BREW", "/no/2"), ("GET", "/stream")],
    )  # fmt: skip

    def count(method: str, route: str, status: str) -> float | None:
        labels = {"method": method, "route": route, "status": status}
        return registry.get_sample_value("some_requests_total", labels)

    assert count("GET", "/v1/things/{thing}", "200") == 30
    assert count("GET", "/v1/things/{thing}", "500") == 1
    assert count("GET", "/stream", "200") == 1
    assert count("GET", "none", "404") == 1
    assert count("other", "none", "404") == 1
    seconds = {"method": "GET", "route": "/v1/things/{thing}"}
    assert registry.get_sample_value("some_request_seconds_count", seconds) == 31
    assert registry.get_sample_value("some_requests_open") == 0
    assert b"BREW" not in exposed(registry).body


async def test_who_leaves_before_the_answer_is_counted_and_who_waits_is_open() -> None:
    registry = make_registry()
    figures = request_figures(registry, "some")
    held = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await held.wait()

    async def ignored(*_: Any) -> Any: ...

    scope = {"type": "http", "method": "GET", "path": "/"}
    asking = asyncio.create_task(Measured(app, figures)(scope, ignored, ignored))
    await asyncio.sleep(0)
    assert registry.get_sample_value("some_requests_open") == 1
    held.set()
    await asking
    labels = {"method": "GET", "route": "none", "status": "499"}
    assert registry.get_sample_value("some_requests_total", labels) == 1
    assert registry.get_sample_value("some_requests_open") == 0


@pytest.mark.parametrize("accept", ["", "text/plain", "application/openmetrics-text;version=1.0.0"])
def test_the_text_is_in_the_form_that_is_asked_for(accept: str) -> None:
    text = exposed(make_registry(), accept)
    wanted = "application/openmetrics-text" if "openmetrics" in accept else "text/plain"
    assert text.content_type.startswith(wanted)
    assert text.body.endswith(b"# EOF\n") == (wanted != "text/plain")
    assert b"process_resident_memory_bytes" in text.body


def test_two_registries_count_apart() -> None:
    first, second = make_registry(), make_registry()
    request_figures(first, "some").open.inc()
    request_figures(second, "some")
    assert first.get_sample_value("some_requests_open") == 1
    assert second.get_sample_value("some_requests_open") == 0
