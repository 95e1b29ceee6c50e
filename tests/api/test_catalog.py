"""What the installation offers, and what it says when a part of it is away."""

from __future__ import annotations

import pytest

from prelogit.wire.params import AISP
from tests.api.conftest import CONTEXT_LENGTH, Start
from tests.api.running import Running, Saying, free_port
from tests.api.worker import Worker


def test_the_model_with_its_limits(gateway: Running) -> None:
    (model,) = gateway.get("/v1/models").json()["data"]
    assert model["id"] == gateway.settings.model
    assert model["object"] == "model"
    assert model["ready"]
    assert model["context_length"] == CONTEXT_LENGTH
    assert model["limits"]["max_new_tokens"] == 128
    assert model["workers"] == 0
    Worker(gateway.inside.store).beat(gateway.settings.model)
    Worker(gateway.inside.store, "other").beat("another model")
    assert gateway.get("/v1/models").json()["data"][0]["workers"] == 1


def test_several_models_each_with_its_workers(start: Start, other_model: str) -> None:
    gateway = start(models=(other_model,))
    worker = Worker(gateway.inside.store)
    worker.beat(other_model)
    first, second = gateway.get("/v1/models").json()["data"]
    assert (first["id"], first["default"]) == (gateway.settings.model, True)
    assert (first["workers"], first["context_length"]) == (0, CONTEXT_LENGTH)
    assert (second["id"], second["default"]) == (other_model, False)
    assert (second["workers"], second["context_length"]) == (1, CONTEXT_LENGTH // 2)


def test_a_model_that_is_not_prepared_says_so(start: Start) -> None:
    (model,) = start(model="smollm2-135m").get("/v1/models").json()["data"]
    assert not model["ready"]
    assert "prelogit up" in model["problem"]


def test_methods_are_described_as_they_are_validated(gateway: Running) -> None:
    methods = {method["name"]: method for method in gateway.get("/v1/methods").json()["data"]}
    aisp = {parameter["name"]: parameter for parameter in methods["aisp"]["parameters"]}
    assert {name: one["default"] for name, one in aisp.items()} == AISP().model_dump(
        by_alias=True, exclude={"name"}
    )
    assert methods["aisp"]["samples"] == AISP().samples
    assert aisp["n"]["minimum"] == 1
    assert aisp["n"]["unit"] == "samples"
    assert aisp["sigma2"]["exclusive_minimum"] == 0
    assert aisp["lambda"]["allowed"] == ["auto"]
    assert aisp["lambda"]["type"] == "number or text"
    assert aisp["variance"]["allowed"] == ["preserve", "fixed"]
    assert aisp["window"]["nullable"]
    beside = {name for name, method in methods.items() if method["baseline"]}
    assert beside == {"bon", "soft_bon", "greedy", "sample", "args", "recontrol"}
    assert (methods["greedy"]["samples"], methods["soft_bon"]["samples"]) == (1, 128)


def test_every_parameter_is_described(gateway: Running) -> None:
    for method in gateway.get("/v1/methods").json()["data"]:
        assert method["description"]
        assert all(parameter["description"] for parameter in method["parameters"])


def test_rewards_are_those_of_the_reward_service(gateway: Running) -> None:
    found = gateway.get("/v1/rewards").json()["data"]
    assert [reward["name"] for reward in found] == ["relevance", "length"]


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (200, b'[{"nme": 1}]'), (200, b"3"), (500, b"[]")]
)
def test_something_else_at_the_rewards_address_is_a_problem(
    start: Start, status: int, body: bytes
) -> None:
    other = Saying(status, body)
    answer = start(reward_url=other.url).get("/v1/rewards")
    other.stop()
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "reward service" in answer.json()["detail"]


def test_an_absent_reward_service_is_a_problem_with_the_cure(start: Start) -> None:
    answer = start(reward_url=f"http://me:secret@127.0.0.1:{free_port()}").get("/v1/rewards")
    assert answer.status_code == 503
    assert "prelogit up" in answer.json()["detail"]
    assert "secret" not in answer.text
