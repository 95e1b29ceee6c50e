"""Which webhooks an installation takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Start
from tests.api.running import Running


def refusal(gateway: Running, url: str) -> dict[str, Any]:
    answer = gateway.post({"prompts": ["a"], "webhook": {"url": url}})
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["errors"]
    return dict(problem)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://localhost",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.1.2.3:8443/hook",
        "https://intranet/hook",
        "http://example.com/hook",
    ],
)
def test_only_https_and_public_addresses_are_taken_unless_named(
    start: Start, secrets: dict[str, Any], url: str
) -> None:
    gateway = start(webhook_secrets=secrets)
    problem = refusal(gateway, url)
    assert problem["field"] == "webhook.url"
    assert "PRELOGIT_WEBHOOK_URLS" in problem["message"]
    assert start(webhook_secrets=secrets, webhook_urls=(url,)).job(
        {"prompts": ["a"], "webhook": {"url": url}}
    )["request"]["webhook"] == {"url": url, "events": ["job.ended"]}


def test_without_a_secret_none_is_taken(start: Start) -> None:
    problem = refusal(start(), "https://example.com/hook")
    assert "PRELOGIT_WEBHOOK_SECRETS" in problem["message"]


def test_a_secret_of_another_receiver_signs_nothing(start: Start, secrets: dict[str, Any]) -> None:
    main = {**secrets["main"], "url": "https://hooks.example.com"}
    gateway = start(webhook_secrets={"main": main})
    assert "no secret" in refusal(gateway, "https://example.com/hook")["message"]
    gateway.job({"prompts": ["a"], "webhook": {"url": "https://hooks.example.com/1"}})


def test_a_secret_that_is_not_there_or_short_is_named_and_not_shown(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "short").write_text("sesame")
    gateway = start(webhook_secrets={"main": {"file": tmp_path / "short"}})
    message = refusal(gateway, "https://example.com")["message"]
    assert "'main'" in message
    assert "openssl rand" in message
    assert "sesame" not in message
    (tmp_path / "short").unlink()
    assert "check its file" in refusal(gateway, "https://example.com")["message"]


def test_an_estimate_names_it_too(start: Start) -> None:
    answer = start().client.post(
        "/v1/jobs/estimate", json={"prompts": ["a"], "webhook": {"url": "https://example.com"}}
    )
    assert [one["field"] for one in answer.json()["problems"]] == ["webhook.url"]
