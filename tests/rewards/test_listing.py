"""What a reward service says of the range of its rewards, or does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prelogit.rewards.service import ServiceReward

ONE = {"name": "one", "kind": "safety", "description": "", "low": 0.0, "high": 1.0}
TWO = {"name": "two", "kind": "function", "description": ""}


async def told(serve: Any, reply: Any, name: str | None) -> tuple[float, float] | None:
    async with serve(lambda *_: reply) as server:
        found = await ServiceReward(server.url, name).told_bounds()
        assert [request.path for request in server.seen] == ["/v1/rewards"]
    return found


async def test_the_range_of_the_reward_that_is_named(serve: Any, reply: Any) -> None:
    both = reply(json.dumps([TWO, ONE]).encode())
    assert await told(serve, both, "one") == (0.0, 1.0)
    assert await told(serve, both, "two") is None
    assert await told(serve, both, None) is None  # which of them?
    assert await told(serve, reply(json.dumps([ONE]).encode()), None) == (0.0, 1.0)
    assert await told(serve, reply(json.dumps({"data": [ONE]}).encode()), "one") == (0.0, 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"[]"},
        {"body": b"null"},
        {"body": b'[{"name": 1}]'},
        {"body": json.dumps([ONE | {"low": None}]).encode()},
        {"body": json.dumps([ONE | {"low": 1.0}]).encode()},
        {"body": json.dumps([ONE | {"high": float("inf")}]).encode()},
        {"body": b"<html>", "content_type": "text/html"},
        {"breaks": True},
    ],
)
async def test_a_service_that_does_not_say_it_is_not_asked_to(
    serve: Any, reply: Any, change: dict[str, Any]
) -> None:
    assert await told(serve, reply(**change), None) is None


async def test_nobody_there(serve: Any) -> None:
    assert await ServiceReward("http://127.0.0.1:9").told_bounds() is None
