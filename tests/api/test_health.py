"""Health: each part is named with what is wrong, and the cure."""

from __future__ import annotations

import signal

from tests.api.conftest import Start
from tests.api.running import Saying, Valkey, free_port
from tests.api.worker import Worker


def test_ready_when_every_part_is(start: Start, valkey_url: str) -> None:
    gateway = start(redis_url=valkey_url)
    Worker(gateway.inside.store).beat(gateway.settings.model)
    answer = gateway.get("/health/ready")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "ready": True,
        "parts": {
            part: {"ok": True, "problem": None}
            for part in ("store", "queue", "reward", "workers", "model")
        },
    }


def test_every_missing_part_is_named(start: Start) -> None:
    gateway = start(reward_url=f"http://127.0.0.1:{free_port()}", model="smollm2-135m")
    answer = gateway.get("/health/ready")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    parts = document["parts"]
    assert not document["ready"]
    assert parts["store"]["ok"]
    for name, word in {
        "queue": "PRELOGIT_REDIS_URL",
        "reward": "PRELOGIT_REWARD_URL",
        "workers": "prelogit up",
        "model": "prelogit up",
    }.items():
        assert not parts[name]["ok"]
        assert word in parts[name]["problem"]
    assert {error["field"] for error in document["errors"]} == {
        "queue",
        "reward",
        "workers",
        "model",
    }
    assert gateway.get("/health/live").status_code == 200


def test_a_worker_with_another_model_is_not_enough(start: Start) -> None:
    gateway = start()
    Worker(gateway.inside.store).beat("another")
    problem = gateway.get("/health/ready").json()["parts"]["workers"]["problem"]
    assert "another" in problem
    assert "PRELOGIT_MODEL" in problem


def test_every_offered_model_needs_a_worker(start: Start, other_model: str) -> None:
    gateway = start(models=(other_model,))
    Worker(gateway.inside.store).beat(gateway.settings.model)
    parts = gateway.get("/health/ready").json()["parts"]
    assert repr(other_model) in parts["workers"]["problem"]
    assert repr(gateway.settings.model) not in parts["workers"]["problem"]
    assert parts["model"]["ok"]
    Worker(gateway.inside.store, "second").beat(other_model)
    assert gateway.get("/health/ready").json()["parts"]["workers"]["ok"]


def test_every_model_that_cannot_be_counted_with_is_named(start: Start) -> None:
    problem = start(models=("/no/such/model",)).get("/health/ready").json()["parts"]["model"]
    assert "/no/such/model" in problem["problem"]


def test_a_silent_worker_is_missed(start: Start) -> None:
    gateway = start(worker_silence_seconds=0.001)
    Worker(gateway.inside.store).beat(gateway.settings.model)
    assert not gateway.get("/health/ready").json()["parts"]["workers"]["ok"]


def test_a_reward_service_that_is_loading_says_so(start: Start) -> None:
    other = Saying(200, b"[]")
    problem = start(reward_url=other.url).get("/health/ready").json()["parts"]["reward"]["problem"]
    other.stop()
    assert "PRELOGIT_REWARDS" in problem


def test_a_stopped_queue_is_seen(start: Start, own_valkey: Valkey) -> None:
    gateway = start(redis_url=own_valkey.url)
    assert gateway.get("/health/ready").json()["parts"]["queue"]["ok"]
    own_valkey.send(signal.SIGSTOP)
    answer = gateway.get("/health/ready")
    own_valkey.send(signal.SIGCONT)
    assert not answer.json()["parts"]["queue"]["ok"]
    assert gateway.get("/health/ready").json()["parts"]["queue"]["ok"]
