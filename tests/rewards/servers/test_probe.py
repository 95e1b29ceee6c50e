"""Servers under the probe: their activation, what they refuse, and tokens that nobody sent."""

from __future__ import annotations

from typing import Any

from prelogit.rewards.load import load_reward
from prelogit.rewards.probe import probe
from tests.rewards.servers import fakes


def load(url: str, **options: Any) -> Any:
    quick = {"patience_seconds": 0.05, "first_wait_seconds": 0.001}
    return load_reward(url, protocol="vllm-classify", **{**quick, **options})


async def test_a_server_is_probed_and_its_refusals_are_written_down(
    serve: Any, reply: Any, tokenizer: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, limit=2000)) as server:
        report = await probe(load(server.url))
    assert (report.reward, report.fingerprint, report.bounds) == ("rm", None, None)
    assert report.batch.largest == report.order.largest == 0
    refused = {one.text: one.reason for one in report.odd if one.outcome == "refused"}
    assert set(refused) == {"over-long response", "over-long prompt"}
    assert "maximum context length is 2000" in str(refused["over-long response"])


async def test_a_conversation_that_a_server_refuses_is_left_out(
    serve: Any, reply: Any, tokenizer: Any
) -> None:
    server_of = fakes.vllm(reply, tokenizer, limit=30_000)

    def no_system(request: Any, number: int) -> Any:
        if request.json["messages"][0]["role"] == "system":
            return reply(b'{"error": {"message": "System role not supported"}}', 400)
        return server_of(request, number)

    async with serve(no_system) as server:
        report = await probe(load(server.url))
    (told,) = [one for one in report.odd if one.outcome == "refused"]
    assert told.text == "system turn, good answer"
    assert "System role not supported" in str(told.reason)
    assert report.pairs == 4


async def test_an_activation_that_was_asked_for_is_told(
    serve: Any, reply: Any, tokenizer: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, limit=30_000)) as server:
        report = await probe(load(server.url, activation=True))
    assert report.bounds == (0.0, 1.0)
    assert any("activation is on (0 to 1)" in warning for warning in report.warnings)


async def test_a_sigmoid_that_nobody_asked_for_has_the_servers_own_cure(
    serve: Any, reply: Any, tokenizer: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, limit=30_000, always_active=True)) as server:
        report = await probe(load(server.url))
    assert report.saturation is not None
    (told,) = [one for one in report.warnings if "as a sigmoid makes them" in one]
    assert "--pooler-config" in told


async def test_a_second_bos_is_seen_by_the_tokens_that_a_server_counts(
    serve: Any, reply: Any, tokenizer: Any
) -> None:
    bos = tokenizer.bos_token_id
    server_of = fakes.vllm(reply, tokenizer, limit=30_000)

    def twice(request: Any, number: int) -> Any:
        body = {**request.json, "input": [[bos, *ids] for ids in request.json["input"]]}
        return server_of(request._replace(json=body), number)

    for answer, seen in ((server_of, False), (twice, True)):
        async with serve(answer) as server:
            report = await probe(load(server.url, tokenizer=tokenizer, max_tokens=30_000))
        assert any("1 tokens more than were sent" in one for one in report.warnings) == seen
