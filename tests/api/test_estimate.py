"""The estimate validates like a post and stores nothing."""

from __future__ import annotations

from typing import Any

from tests.api.running import Running
from tests.api.worker import Worker


def estimate(gateway: Running, body: dict[str, Any]) -> dict[str, Any]:
    answer = gateway.client.post("/v1/jobs/estimate", json=body)
    assert answer.status_code == 200, answer.text
    assert gateway.get("/v1/jobs").json()["data"] == [] or "measured" in body.get("metadata", {})
    return dict(answer.json())


def test_counts_every_candidate_and_token(gateway: Running) -> None:
    found = estimate(
        gateway,
        {
            "prompts": ["one", "two words"],
            "method": {"name": "aisp", "n": 4, "iterations": 2},
            "baselines": [{"name": "bon"}, {"name": "bon", "n": 5}],
            "max_new_tokens": 10,
        },
    )
    assert found["problems"] == []
    assert found["prompts"] == 2
    assert found["prompt_tokens"] == 3 + 4
    assert found["candidates"] == 2 * (12 + 12 + 5)
    assert found["generated_tokens_max"] == 580
    assert found["seconds"] is None


def test_memory_follows_from_the_configuration(gateway: Running) -> None:
    body = {"prompts": ["one"], "method": {"name": "bon", "n": 3}, "max_new_tokens": 10}
    found = estimate(gateway, body)
    # 8 wide, 2 layers, 2 heads and 1 of keys and values of 4, 16 inside, 10 words, tied.
    weights = 10 * 8 + 2 * (8 * 4 * (2 * 2 + 2 * 1) + 3 * 8 * 16 + 2 * 8) + 8
    keys_values = 2 * 2 * 1 * 4 * (3 + 3 * 10)
    assert found["memory_bytes"] == 4 * (weights + keys_values)


def test_problems_are_those_that_a_post_is_refused_for(gateway: Running) -> None:
    for body in (
        {"prompts": ["a"], "methd": 1, "seed": -1},
        {"prompts": ["a", "w " * 300], "model": "another"},
        {"prompts": ["a", "w " * 300], "reward": {"name": "another"}},
    ):
        refused = gateway.post(body).json()
        assert estimate(gateway, body)["problems"] == refused["errors"] != []


def test_seconds_come_from_what_was_measured_here(gateway: Running) -> None:
    gateway.job({"prompts": ["a"]})
    Worker(gateway.inside.store).run_all()
    body = {
        "prompts": ["a"],
        "method": {"name": "bon", "n": 3},
        "max_new_tokens": 10,
        "metadata": {"measured": "x"},
    }
    # Measured: 10 tokens in 2 s, 2 candidates rewarded in 0.5 s.
    assert estimate(gateway, body)["seconds"] == 30 * 0.2 + 3 * 0.25
