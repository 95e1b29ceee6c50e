"""Whatever goes wrong, the answer is a problem document that gives nothing away."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import make_url

from tests.api.conftest import Start
from tests.api.running import Running, eventually


def test_an_unknown_address(gateway: Running) -> None:
    answer = gateway.get("/v1/job")
    assert answer.status_code == answer.json()["status"] == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "/docs" in answer.json()["detail"]


def test_no_answer_sends_to_the_host_that_a_request_names(gateway: Running) -> None:
    answer = gateway.client.get("/v1/jobs/", headers={"Host": "evil.example.com"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_a_method_that_is_not_offered(gateway: Running) -> None:
    answer = gateway.client.put("/v1/models")
    assert answer.status_code == answer.json()["status"] == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["allow"] == "GET"
    assert "GET" in answer.json()["detail"]


def test_a_failure_of_ours_tells_a_number_and_nothing_else(
    gateway: Running, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("secret at /private/path")

    gateway.app.add_api_route("/fail", fail)
    answer = gateway.get("/fail")
    assert answer.status_code == answer.json()["status"] == 500
    assert answer.headers["content-type"] == "application/problem+json"
    for text in ("secret", "private", "RuntimeError", "Traceback", ".py"):
        assert text not in answer.text
    number = answer.json()["detail"].split()[-1]
    eventually(lambda: number in caplog.text)
    assert "secret at /private/path" in caplog.text
    assert gateway.get("/health/live").status_code == 200


def test_a_store_that_is_away_is_a_problem_and_is_found_again(
    start: Start, fresh_postgres: str, postgres_url: str
) -> None:
    gateway = start(database_url=fresh_postgres)
    path = gateway.job()["links"]["self"]
    name = make_url(fresh_postgres).database
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        for answer in (gateway.get(path), gateway.post(), gateway.get("/v1/jobs")):
            assert answer.status_code == answer.json()["status"] == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert "retry-after" in answer.headers
            assert name not in answer.text
        ready = gateway.get("/health/ready")
        assert ready.status_code == 503
        assert "PRELOGIT_DATABASE_URL" in ready.json()["parts"]["store"]["problem"]
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert gateway.get(path).status_code == 200
