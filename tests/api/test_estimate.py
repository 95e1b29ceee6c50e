"""The estimate validates like a post and stores nothing."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import Start
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
    found = estimate(gateway, body)["memory_bytes"]
    # 8 wide, 2 layers, 2 heads and 1 of keys and values of 4, 16 inside, 10 words, tied but packed.
    weights = 2 * 10 * 8 + 2 * (8 * 4 * (2 * 2 + 2 * 1) + 3 * 8 * 16 + 2 * 8) + 8
    token = 4 * 2 * 2 * 1 * 4
    # Room for rows and their tokens is made in sixteens.
    kept = 4 * weights + token * (3 + 16 * 16)
    # What noise in the model's own shape works with: weights of all words, and numbers of each row.
    shaped = 10 * 8 * 40 + 3 * (16 * 8 + 10 * 160)
    assert kept + shaped < found < kept + shaped + 3 * 2000
    # What depends on the request is exact: a prompt token, and sixteen more new ones.
    assert estimate(gateway, {**body, "prompts": ["one two"]})["memory_bytes"] == found + token
    assert estimate(gateway, {**body, "max_new_tokens": 16})["memory_bytes"] == found
    longer = estimate(gateway, {**body, "max_new_tokens": 17})["memory_bytes"]
    assert longer == found + token * 16 * 16


def test_memory_is_bounded_as_the_workers_are(start: Start) -> None:
    gateway = start(memory_gb=0.0001)
    body = {"prompts": ["one"], "method": {"name": "bon", "n": 100}, "max_new_tokens": 10}
    assert 50_000 < estimate(gateway, body)["memory_bytes"] <= 100_000
    assert estimate(start(), body)["memory_bytes"] > 100_000


def test_memory_and_time_are_those_of_the_model_that_is_named(
    start: Start, other_model: str
) -> None:
    gateway = start(models=(other_model,))
    gateway.job({"prompts": ["a"]})
    Worker(gateway.inside.store).run_all()
    body = {"prompts": ["one"], "metadata": {"measured": "x"}}
    first, second = estimate(gateway, body), estimate(gateway, {**body, "model": other_model})
    assert first["seconds"] > 0
    assert second["seconds"] is None
    assert second["memory_bytes"] > first["memory_bytes"]


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
