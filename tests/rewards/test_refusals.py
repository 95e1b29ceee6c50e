"""What a refusal of a service comes to, whatever it speaks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prelogit.core.errors import RewardAnswerError
from prelogit.rewards.load import load_reward

ASKED = ([[{"role": "user", "content": "a?"}]], ["one"])
OPTIONS: dict[str, dict[str, Any]] = {
    "prelogit": {},
    "vllm-classify": {},
    "tei": {},
    "judge": {"model": "wise"},
}
GOOD: dict[str, Any] = {
    "prelogit": {"scores": [2.0]},
    "vllm-classify": {"data": [{"index": 0, "probs": [2.0]}]},
    "tei": [[{"score": 2.0, "label": "LABEL_0"}]],
    "judge": {"choices": [{"message": {"content": '{"grade": 2}'}}]},
}


def load(protocol: str, url: str) -> Any:
    quick = {"patience_seconds": 30.0, "first_wait_seconds": 0.001, "timeout_seconds": 20.0}
    return load_reward(url, protocol=protocol, **OPTIONS[protocol], **quick)


@pytest.mark.parametrize("protocol", OPTIONS)
@pytest.mark.parametrize("error", [{"message": "out of memory", "code": "oom"}, "out of memory"])
async def test_an_error_with_a_good_status_is_told_in_the_servers_own_words(
    serve: Any, reply: Any, protocol: str, error: Any
) -> None:
    body = json.dumps({"error": error}).encode()
    async with serve(lambda *_: reply(body)) as server:
        with pytest.raises(RewardAnswerError, match=rf"{server.url} refused.*: out of memory"):
            await load(protocol, server.url)(*ASKED)
    assert len(server.seen) == 1


@pytest.mark.parametrize("protocol", OPTIONS)
async def test_a_good_status_around_a_busy_error_is_asked_again(
    serve: Any, reply: Any, protocol: str
) -> None:
    busy = reply(json.dumps({"error": {"message": "slow down", "code": 429}}).encode())
    good = reply(json.dumps(GOOD[protocol]).encode())
    async with serve(lambda _, count: busy if count == 1 else good) as server:
        scored = await load(protocol, server.url)(*ASKED)
    assert scored.rewards.tolist() == [2.0]
    assert len(server.seen) == 2


async def test_an_error_that_is_none_is_no_error(serve: Any, reply: Any) -> None:
    fine = reply(json.dumps({**GOOD["prelogit"], "error": None}).encode())
    async with serve(lambda *_: fine) as server:
        scored = await load("prelogit", server.url)(*ASKED)
    assert scored.rewards.tolist() == [2.0]


@pytest.mark.parametrize("protocol", OPTIONS)
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_what_a_server_says_is_safe_for_a_terminal_and_a_database(
    serve: Any, reply: Any, protocol: str, kind: str
) -> None:
    said = "red\x1b[31m\r\nalert\x07\x00 \u202eend"
    body = said if kind == "text/plain" else json.dumps({"error": {"message": f"{said}\ud800"}})
    async with serve(lambda *_: reply(body.encode(), 400, kind)) as server:
        with pytest.raises(RewardAnswerError, match=r": red \[31m alert end") as told:
            await load(protocol, server.url)(*ASKED)
    assert str(told.value).isprintable()
