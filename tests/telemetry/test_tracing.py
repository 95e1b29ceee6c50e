"""Tracing as a process has it: sent by OTLP over HTTP, and a clear word where that cannot be."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.workers.forked import service
from tests.workers.processes import Child, environment, free_port, python, until

SERVICES = ["api", "workers", "reward_service"]


class Collector:
    """What answers at an OTLP endpoint, and all spans that came: service and name."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.headers.append({k.lower(): v for k, v in self.headers.items()})
                for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                    (service,) = [one.value.string_value for one in of.resource.attributes
                                  if one.key == "service.name"]  # fmt: skip
                    spans = [span for scope in of.scope_spans for span in scope.spans]
                    collector.spans += [(service, span.name) for span in spans]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.stop()


def gateway(folder: Path, **variables: str) -> tuple[Child, str]:
    """A gateway process and its URL, once it answers."""
    port = free_port()
    env = environment(
        home=folder / "home", port=port, redis_url=f"redis://127.0.0.1:{free_port()}/0"
    )
    child = service("api", folder / "log", {**env, **variables})
    url = f"http://127.0.0.1:{port}"

    def alive() -> bool:
        assert child.running, child.said
        try:
            return httpx.get(f"{url}/health/live").is_success
        except httpx.HTTPError:
            return False

    until(alive, "the gateway answers")
    return child, url


def test_spans_reach_a_collector_also_the_last_ones(tmp_path: Path, collector: Collector) -> None:
    told = {
        "PRELOGIT_OTEL": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-team=blue",
        "OTEL_BSP_SCHEDULE_DELAY": "600000",  # nothing is sent before the end
    }
    child, url = gateway(tmp_path, **told)
    try:
        httpx.get(f"{url}/v1/jobs")
        httpx.get(f"{url}/v1/jobs/none")
        child.end()
    finally:
        child.kill()
    assert collector.spans == [
        ("prelogit-gateway", "GET /v1/jobs"),
        ("prelogit-gateway", "GET /v1/jobs/{job_id}"),
    ]
    assert collector.headers[0]["x-team"] == "blue"


def test_the_service_is_called_as_the_variable_says(tmp_path: Path, collector: Collector) -> None:
    told = {"PRELOGIT_OTEL": "on", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    child, url = gateway(tmp_path, **told, OTEL_SERVICE_NAME="mine")
    try:
        httpx.get(f"{url}/v1/jobs")
        child.end()
    finally:
        child.kill()
    assert collector.spans == [("mine", "GET /v1/jobs")]


def test_a_collector_that_is_away_harms_nobody(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    child, url = gateway(tmp_path, PRELOGIT_OTEL="on", OTEL_EXPORTER_OTLP_ENDPOINT=away)
    try:
        assert httpx.get(f"{url}/v1/jobs").is_success
        child.end()
    finally:
        child.kill()
    assert "incident" not in child.said


@pytest.mark.parametrize("service", SERVICES)
def test_a_missing_extra_is_named_with_the_cure(tmp_path: Path, service: str) -> None:
    # As where only the API is installed, which other packages bring along.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['opentelemetry.sdk'] = None\n"
    )
    env = environment([tmp_path], home=tmp_path, otel="on")
    child = Child(python(service), tmp_path / "log", env)
    try:
        assert child.ended() in (1, 2)
    finally:
        child.kill()
    assert "pip install 'prelogit[otel]'" in child.said
    assert "Traceback" not in child.said


@pytest.mark.parametrize("service", ["api.app", "workers.run", "reward_service.app"])
def test_nothing_of_opentelemetry_is_loaded_where_it_is_off(service: str) -> None:
    program = (
        f"import sys, {service}\n"
        "from prelogit.telemetry import tracing\n"
        "tracing.start('x', 'off')\n"
        "with tracing.entered(tracing.open_span('x')): assert tracing.traceparent() is None\n"
        "assert 'opentelemetry.sdk.trace' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
