"""What answers say to browsers, who may read them, and which names are answered to."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from api.settings import Settings
from tests.api.conftest import Start
from tests.api.running import Running

PAGE = {"Origin": "https://app.example.com"}
PATHS = ["/v1/jobs", "/v1/jobs/job_none", "/nothing", "/openapi.json", "/health/live", "/docs"]


def test_every_answer_tells_browsers_to_do_nothing_with_it(gateway: Running) -> None:
    for path in PATHS:
        headers = gateway.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert "strict-transport-security" not in headers
        assert "script-src" not in headers["content-security-policy"] or path == "/docs"


def test_the_page_for_people_may_load_what_it_names(gateway: Running) -> None:
    answer = gateway.get("/docs")
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in answer.headers["content-security-policy"].split(";")
    )
    assert "https://cdn.jsdelivr.net/npm/swagger-ui-dist" in answer.text
    for kind in ("script-src", "style-src"):
        assert policy[kind] == "'unsafe-inline' https://cdn.jsdelivr.net"
    assert policy["connect-src"] == "'self'"


def test_jobs_and_results_are_kept_nowhere(gateway: Running) -> None:
    job = gateway.job()
    links = job["links"]
    for path in ("/v1/jobs", links["self"], links["results"], "/v1/jobs/job_none"):
        assert gateway.get(path).headers["cache-control"] == "no-store", path
    assert gateway.post({"prompts": []}).headers["cache-control"] == "no-store"


def test_an_unforeseen_error_has_them_too(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("api.jobs.routes.jobs.listing", broken)
    answer = gateway.get("/v1/jobs")
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"


def preflight(gateway: Running, **headers: str) -> httpx.Response:
    asked = {"Access-Control-Request-Method": "POST", **PAGE, **headers}
    return gateway.client.options("/v1/jobs", headers=asked)


def test_no_foreign_page_may_read_or_send_anything(gateway: Running) -> None:
    assert not preflight(gateway).is_success
    for answer in (preflight(gateway), gateway.client.get("/v1/jobs", headers=PAGE)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_pages_that_are_named_may(start: Start) -> None:
    gateway = start(cors_origins=("https://app.example.com",))
    asked = {"Access-Control-Request-Headers": "authorization,idempotency-key"}
    allowed = preflight(gateway, **asked)
    assert allowed.is_success
    assert allowed.headers["access-control-allow-origin"] == PAGE["Origin"]
    assert "access-control-allow-credentials" not in allowed.headers
    answer = gateway.client.get("/v1/jobs", headers=PAGE)
    assert answer.headers["access-control-allow-origin"] == PAGE["Origin"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for origin in ("https://evil.example.com", "https://app.example.com.evil.org", "null"):
        other = gateway.client.get("/v1/jobs", headers={"Origin": origin})
        assert "access-control-allow-origin" not in other.headers
    assert not preflight(gateway, Origin="https://evil.example.com").is_success


def test_only_names_that_are_told_are_answered_to(start: Start) -> None:
    gateway = start(allowed_hosts=("prelogit.example.com", "*.internal"))

    def asked(host: str) -> int:
        answer = gateway.client.get("/health/live", headers={"Host": host})
        if not answer.is_success:
            assert answer.headers["content-type"] == "application/problem+json"
            assert "PRELOGIT_ALLOWED_HOSTS" in answer.json()["detail"]
            assert "prelogit.example.com" not in answer.text
        return answer.status_code

    for good in ("prelogit.example.com", "PRELOGIT.example.com:8000", "a.internal", "127.0.0.1:9"):
        assert asked(good) == 200, good
    for bad in ("evil.org", "example.com", "prelogit.example.com.evil.org", "internal", "[::1", ""):
        assert asked(bad) == 421, bad


def test_any_name_is_answered_to_unless_told(gateway: Running) -> None:
    assert gateway.client.get("/health/live", headers={"Host": "any.example"}).is_success


def test_https_alone_is_told_only_where_it_was_asked_for(start: Start) -> None:
    answer = start(hsts_seconds=600).get("/health/live")
    assert answer.headers["strict-transport-security"] == "max-age=600"


@pytest.mark.parametrize(
    "wrong",
    [
        {"cors_origins": ["app.example.com"]},
        {"cors_origins": ["https://app.example.com/"]},
        {"allowed_hosts": ["https://example.com"]},
        {"allowed_hosts": ["example.com:8000"]},
        {"allowed_hosts": ["*"]},
        {"hsts_seconds": -1},
    ],
)
def test_a_setting_that_would_open_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, **wrong)
