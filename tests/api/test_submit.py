"""Posting a job: what is stored, what is answered, what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.jobs.roll import MOST_CHARACTERS
from tests.api.conftest import CONTEXT_LENGTH, Start
from tests.api.running import Running, free_port


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    for text in ("Traceback", "site-packages", ".py", "/work", "/root"):
        assert text not in answer.text
    return dict(document)


def fields_of(document: dict[str, Any]) -> list[str]:
    return [error["field"] for error in document["errors"]]


def test_a_job_is_accepted_with_everything_filled_in(gateway: Running) -> None:
    answer = gateway.post({"prompts": ["one", {"id": "x", "prompt": "two"}]})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert job["object"] == "job"
    assert job["status"] == "queued"
    assert job["counts"]["total"] == 2
    assert [prompt["id"] for prompt in job["request"]["prompts"]] == ["p1", "x"]
    assert job["request"]["model"] == gateway.settings.model
    assert job["request"]["method"]["lambda"] == "auto"
    assert job["request"]["priority"] == "normal"
    # "user one assistant": the template's words are counted too.
    assert job["usage"]["prompt_tokens"] == 6
    assert gateway.get(answer.headers["location"]).json() == job


def test_a_raw_prompt_is_counted_without_the_template(gateway: Running) -> None:
    job = gateway.job({"prompts": ["one two"], "template": "none"})
    assert job["usage"]["prompt_tokens"] == 2


def test_text_of_all_kinds_is_stored_as_it_is(gateway: Running) -> None:
    text = "a\x00b \u2028 😀 \x7f"
    sent = {"prompts": [text], "metadata": {"k\x00": "v\x00"}}
    request = gateway.get(gateway.job(sent)["links"]["self"]).json()["request"]
    assert request["prompts"][0]["prompt"] == text
    assert request["metadata"] == {"k\x00": "v\x00"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompts": []}, "prompts"),
        ({"prompts": ["a"], "methd": {}}, "methd"),
        ({"prompts": ["a"], "method": {"name": "aips"}}, "method.name"),
        ({"prompts": ["a"], "method": {"name": "aisp", "sigma2": 0}}, "method.sigma2"),
        ({"prompts": [{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "x"}]}, "prompts.1.id"),
        ({"prompts": ["a"], "seed": True}, "seed"),
        ({"prompts": ["a"], "priority": "urgent"}, "priority"),
        ({"prompts": ["a"], "model": "another"}, "model"),
        ({"prompts": ["a"], "reward": {"name": "relevence"}}, "reward.name"),
        ({"prompts": ["a"], "held_out": {"name": "lenght"}}, "held_out.name"),
        ({"prompts": ["a"], "held_out": {"name": "relevance"}}, "held_out"),
        ({"prompts": ["a"], "held_out": {"url": "http://elsewhere.example"}}, "held_out.url"),
        ({"prompts": ["a"], "held_out": {"nam": "length"}}, "held_out.nam"),
        ({"prompts": ["a"], "stop": {"held_out": 2}}, "stop"),
        ({"prompts": ["a"], "max_new_tokens": 129}, "max_new_tokens"),
        ({"prompts": ["a"], "method": {"name": "aisp", "n": 512}}, "method.n"),
        ({"prompts": ["a"], "baselines": [{"name": "bon", "n": 5000}]}, "baselines.0.n"),
    ],
)
def test_what_cannot_run_is_refused_and_named(
    gateway: Running, body: dict[str, Any], field: str
) -> None:
    document = assert_problem(gateway.post(body), 422)
    assert fields_of(document) == [field]
    assert field in document["detail"]
    assert gateway.get("/v1/jobs").json()["data"] == []


def test_a_reward_server_its_key_and_its_tokenizer_must_be_allowed(start: Start) -> None:
    keys = {"rm": {"url": "http://rm:1", "env": "NOT_READ_HERE"}}
    gateway = start(
        reward_urls=("http://rm:1",), reward_keys=keys, reward_tokenizers=("my-org/my-rm",)
    )
    named = {"url": "http://rm:1", "protocol": "sglang"}
    fine = {**named, "key": "rm", "tokenizer": "my-org/my-rm"}
    assert gateway.job({"prompts": ["a"], "reward": fine})["request"]["reward"] == fine
    for change, field in (
        ({"url": "http://rm:2"}, "url"),
        ({"key": "other"}, "key"),
        ({"tokenizer": "/etc"}, "tokenizer"),
    ):
        for place in ("reward", "held_out"):
            answer = gateway.post({"prompts": ["a"], place: {**named, **change}})
            assert fields_of(assert_problem(answer, 422)) == [f"{place}.{field}"]


def test_what_is_offered_is_said(gateway: Running) -> None:
    body = {"prompts": ["a"], "model": "another", "reward": {"name": "relevence"}}
    by_field = {e["field"]: e for e in assert_problem(gateway.post(body), 422)["errors"]}
    assert by_field["model"]["allowed"] == [gateway.settings.model]
    assert by_field["reward.name"]["allowed"] == ["relevance", "length"]
    assert "did you mean 'relevance'?" in by_field["reward.name"]["message"]


def test_a_second_reward_that_does_not_steer_is_stored_with_the_job(gateway: Running) -> None:
    body = {"prompts": ["a"], "held_out": {"name": "length"}, "stop": {"held_out": 2, "kl": 30}}
    request = gateway.job(body)["request"]
    assert request["held_out"] == {"name": "length"}
    assert (request["stop"]["held_out"], request["stop"]["kl"]) == (2, 30.0)
    assert gateway.job({"prompts": ["a"]})["request"]["held_out"] is None


def test_a_job_names_one_of_the_models(start: Start, other_model: str) -> None:
    gateway = start(models=(other_model,))
    offered = [gateway.settings.model, other_model]
    for named, model in ((None, offered[0]), (offered[0], offered[0]), (other_model, other_model)):
        job = gateway.job({"prompts": ["a"], "model": named})
        assert (job["status"], job["request"]["model"]) == ("queued", model)
    refused = assert_problem(gateway.post({"prompts": ["a"], "model": "another"}), 422)
    assert [error["allowed"] for error in refused["errors"]] == [offered]
    # The other's context is half as long: prompts are counted with the model of the job.
    long = {"prompts": ["w " * 150], "max_new_tokens": 16}
    assert gateway.post(long).status_code == 202
    assert fields_of(assert_problem(gateway.post({**long, "model": other_model}), 422)) == [
        "prompts.0"
    ]


def test_nan_is_refused_by_name(gateway: Running) -> None:
    answer = gateway.client.post(
        "/v1/jobs",
        content='{"prompts": ["a"], "method": {"name": "aisp", "sigma2": NaN}}',
        headers={"Content-Type": "application/json"},
    )
    assert fields_of(assert_problem(answer, 422)) == ["method.sigma2"]


def test_every_prompt_that_does_not_fit_is_named(gateway: Running) -> None:
    # Two words of the template, 16 new tokens: 238 words fit.
    fits, long = "w " * 238, "w " * 239
    body = {"prompts": [fits, long, "a", long], "max_new_tokens": 16}
    document = assert_problem(gateway.post(body), 422)
    assert fields_of(document) == ["prompts.1", "prompts.3"]
    error = document["errors"][0]
    assert "241 tokens" in error["message"]
    assert error["allowed"]["maximum"] == CONTEXT_LENGTH - 16
    assert gateway.post({"prompts": [fits], "max_new_tokens": 16}).status_code == 202


def test_a_text_that_cannot_fit_is_not_counted_first(gateway: Running) -> None:
    most = CONTEXT_LENGTH * MOST_CHARACTERS
    body = {"prompts": ["w" * most, "w" * (most + 1)], "max_new_tokens": 16}
    (error,) = assert_problem(gateway.post(body), 422)["errors"]
    assert error["field"] == "prompts.1"
    assert f"has {most + 1:,} characters" in error["message"]
    assert error["allowed"]["characters"] == most


def test_of_many_wrong_prompts_the_first_twenty_are_listed(gateway: Running) -> None:
    document = assert_problem(gateway.post({"prompts": ["w " * 300] * 30}), 422)
    assert fields_of(document) == [f"prompts.{place}" for place in range(20)]
    assert "30" in document["detail"]


def test_a_conversation_that_the_template_cannot_frame_is_named(gateway: Running) -> None:
    body = {"prompts": ["a", {"messages": [{"role": "user", "content": ""}]}], "template": "none"}
    assert fields_of(assert_problem(gateway.post(body), 422)) == ["prompts.1.prompt"]


def test_too_many_prompts(start: Start) -> None:
    gateway = start(max_prompts=3)
    assert gateway.post({"prompts": ["a"] * 3}).status_code == 202
    document = assert_problem(gateway.post({"prompts": ["a"] * 4}), 422)
    assert fields_of(document) == ["prompts"]
    assert "3" in document["errors"][0]["message"]


def test_a_body_of_ten_megabytes_is_refused_with_the_limit(gateway: Running) -> None:
    document = assert_problem(gateway.post({"prompts": ["x" * 10_000_000]}), 413)
    assert f"{8 * 1024 * 1024:,}" in document["detail"]


def test_the_limit_holds_without_a_content_length(start: Start) -> None:
    gateway = start(max_body_bytes=100_000)

    def chunks() -> Iterator[bytes]:
        yield b'{"prompts": ["'
        for _ in range(3):
            yield b"x" * 50_000
        yield b'"]}'

    answer = gateway.client.post(
        "/v1/jobs", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert "100,000" in assert_problem(answer, 413)["detail"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "nonsense", '{"prompts": ["\\ud800"]}', "[" * 100_000, b'{"prompts": ["\xff"]}'],
)
def test_what_is_not_json_is_refused(gateway: Running, content: str | bytes) -> None:
    for path in ("/v1/jobs", "/v1/jobs/estimate"):
        answer = gateway.client.post(
            path, content=content, headers={"Content-Type": "application/json"}
        )
        assert fields_of(assert_problem(answer, 422)) == ["body"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_what_does_not_call_itself_json_is_refused(gateway: Running, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = gateway.client.post("/v1/jobs", content=b'{"prompts": ["a"]}', headers=headers)
    assert "application/json" in assert_problem(answer, 415)["detail"]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"prompts": [{"messages": [{}] * 300_000}]}),
        json.dumps({"prompts": [{"messages": [{}] * 100_000}]}),
        json.dumps({f"field{place}": 1 for place in range(100_000)}),
    ],
    ids=["values", "errors", "fields"],
)
def test_a_body_that_is_all_errors_gets_a_short_answer(gateway: Running, body: str) -> None:
    answer = gateway.client.post(
        "/v1/jobs", content=body, headers={"Content-Type": "application/json"}
    )
    assert fields_of(assert_problem(answer, 422)) == ["body"]
    assert len(answer.content) < 1000


def test_an_unreachable_reward_service_does_not_keep_a_job_out(start: Start) -> None:
    gateway = start(reward_url=f"http://127.0.0.1:{free_port()}")
    assert gateway.post({"prompts": ["a"], "reward": {"name": "unheard-of"}}).status_code == 202


def test_a_model_that_is_not_prepared_is_a_problem_with_the_cure(start: Start) -> None:
    gateway = start(model="smollm2-135m")
    document = assert_problem(gateway.post(), 503)
    assert "prelogit up" in document["detail"]


def test_the_same_key_and_body_give_the_same_job(gateway: Running) -> None:
    body = {"prompts": ["a"], "metadata": {"a": "1", "b": "2"}}
    same = {"metadata": {"b": "2", "a": "1"}, "seed": 0, "prompts": ["a"]}
    first = gateway.post(body, Idempotency_Key="mine")
    again = gateway.post(same, Idempotency_Key="mine")
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == again.headers["location"]
    assert gateway.post(body, Idempotency_Key="another").json()["id"] != first.json()["id"]
    assert len(gateway.get("/v1/jobs").json()["data"]) == 2


def test_the_same_key_with_another_body_is_refused(gateway: Running) -> None:
    gateway.post({"prompts": ["a"]}, Idempotency_Key="mine")
    document = assert_problem(gateway.post({"prompts": ["b"]}, Idempotency_Key="mine"), 422)
    assert fields_of(document) == ["Idempotency-Key"]


def test_posts_at_the_same_time_with_one_key_make_one_job(gateway: Running) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: gateway.post({"prompts": ["a"]}, Idempotency_Key="k"), range(16))
        )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(gateway: Running, key: str) -> None:
    document = assert_problem(gateway.post(Idempotency_Key=key), 422)
    assert fields_of(document) == ["Idempotency-Key"]


def test_counting_a_big_job_does_not_hold_up_others(gateway: Running) -> None:
    order: list[str] = []

    def big() -> None:
        assert gateway.post({"prompts": ["w " * 40] * 10_000, "max_new_tokens": 1}).is_success
        order.append("big")

    poster = threading.Thread(target=big)
    poster.start()
    for _ in range(5):
        assert gateway.get("/health/live").is_success
        order.append("live")
    poster.join()
    assert order[-1] == "big"
