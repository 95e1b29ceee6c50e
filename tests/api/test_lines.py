"""The gateway's lines name job and request, and its answers the request."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest

from tests.api.running import Running, eventually, free_port
from tests.api.test_process import Begin, begin

__all__ = ["begin"]


def test_every_answer_carries_the_id_also_a_refusal(gateway: Running) -> None:
    for path, status in (("/v1/jobs", 200), ("/v1/jobs/none", 404), ("/nowhere", 404)):
        answer = gateway.client.get(path, headers={"X-Request-Id": "mine-1"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (status, "mine-1")
    asked = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "GET"}
    answer = gateway.client.options("/v1/jobs", headers={**asked, "X-Request-Id": "mine-2"})
    assert answer.headers["x-request-id"] == "mine-2"
    answer = gateway.client.get("/v1/jobs", headers={"X-Request-Id": "not sane\x7f"})
    assert answer.headers["x-request-id"].isalnum()


def test_lines_are_placed_by_the_address(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from prelogit.telemetry.lines import about

    seen: list[dict[str, Any]] = []

    class Seeing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(about(record))

    handler = Seeing()
    logging.getLogger("prelogit.api").addHandler(handler)
    try:
        from sqlalchemy import event

        def away(*_: object) -> None:
            from sqlalchemy.exc import OperationalError

            raise OperationalError("", {}, Exception())

        engine = gateway.inside.engine
        event.listen(engine, "before_cursor_execute", away)
        path = "/v1/jobs/job_x/results/p1/trace"
        assert gateway.client.get(path, headers={"X-Request-Id": "r1"}).status_code == 503
        event.remove(engine, "before_cursor_execute", away)
    finally:
        logging.getLogger("prelogit.api").removeHandler(handler)
    wanted = {"job": "job_x", "prompt": "p1", "iteration": None, "request": "r1"}
    assert wanted in seen


def test_a_process_writes_json_that_names_job_and_request(begin: Begin) -> None:
    port = free_port()
    process = begin(PRELOGIT_PORT=str(port), PRELOGIT_LOG_FORMAT="json")
    base = f"http://127.0.0.1:{port}"

    def alive() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(f"{base}/health/live").is_success
        except httpx.HTTPError:
            return False

    eventually(alive, seconds=60)
    with httpx.Client(base_url=base, timeout=60) as client:
        posted = client.post("/v1/jobs", json={"prompts": ["a"]}, headers={"X-Request-Id": "r-1"})
        job = posted.json()["id"]
        client.post(f"/v1/jobs/{job}/cancel", headers={"X-Request-Id": "r-2"})
    process.terminate()
    log, _ = process.communicate(timeout=60)
    told = [json.loads(line) for line in log.splitlines()]
    assert all(line["process"] == "gateway" for line in told)
    about = {line["message"].split()[0]: (line["job"], line["request_id"])
             for line in told if "job" in line}  # fmt: skip
    assert about == {"accepted": (job, "r-1"), "cancelling": (job, "r-2")}


def test_a_form_that_there_is_none_of_is_named(begin: Begin) -> None:
    log, _ = begin(PRELOGIT_LOG_FORMAT="yaml").communicate(timeout=60)
    assert "PRELOGIT_LOG_FORMAT" in log
    assert "'text' or 'json'" in log
