"""A budget in a posted job: filled in, estimated, and refused where it cannot be spent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.running import Running

BODY = {
    "prompts": ["one", "two words"],
    "method": {"name": "aisp", "n": 4},
    "baselines": [{"name": "bon"}],
    "budget": {"samples": 32},
}


def test_the_job_shows_what_it_comes_to(gateway: Running) -> None:
    job = gateway.job(BODY)
    assert job["request"]["budget"] == {"samples": 32}
    assert job["request"]["method"]["iterations"] == 5
    assert job["request"]["baselines"][0]["n"] == 16
    assert job["progress"]["iterations_total"] == 2 * (4 + 1)
    answer = gateway.client.post("/v1/jobs/estimate", json=BODY)
    assert answer.json()["candidates"] == 32 + 2 * 16


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"budget": {"samples": 7}}, "budget", "raise it to 8 or more"),
        ({"budget": {"samples": 0}}, "budget.samples", "greater than or equal to 1"),
        ({"budget": {"sample": 9}}, "budget.sample", "did you mean 'samples'?"),
        ({"budget": 9}, "budget", "must be an object"),
        ({"method": {"name": "bon"}}, "budget", "bon has one round"),
    ],
)
def test_what_cannot_be_spent_is_refused(
    gateway: Running, changes: dict[str, Any], field: str, told: str
) -> None:
    answer = gateway.post({**BODY, **changes})
    assert answer.status_code == 422
    errors = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert field in errors
    assert told in errors[field]
