"""Rewards that all lie between 0 and 1 although they should be raw are told, once."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from prelogit.rewards.load import load_reward
from prelogit.rewards.servers.range import ENOUGH, Range


@pytest.mark.parametrize(
    ("rewards", "bounded"),
    [
        ([place / ENOUGH for place in range(ENOUGH)], True),
        ([place / ENOUGH for place in range(ENOUGH - 1)], False),
        ([0.5] * ENOUGH, False),
        ([*(place / ENOUGH for place in range(ENOUGH)), 1.01], False),
        ([-0.01, *(place / ENOUGH for place in range(ENOUGH))], False),
    ],
)
def test_what_looks_bounded(rewards: list[float], bounded: bool) -> None:
    assert Range().looks_bounded(rewards) is bounded


def test_it_counts_over_calls_and_is_told_once() -> None:
    seen = Range()
    halves = [[place / 7 for place in range(7)]] * ENOUGH
    assert [seen.looks_bounded(half) for half in halves].count(True) == 1
    assert not seen.looks_bounded([2.0])


@pytest.mark.parametrize(("activation", "told"), [(False, 1), (True, 0)])
async def test_a_server_that_squeezes_is_told(
    serve: Any, reply: Any, caplog: pytest.LogCaptureFixture, activation: bool, told: int
) -> None:
    def answer(request: Any, _: int) -> Any:
        data = [
            {"index": place, "probs": [place / 100]} for place in range(len(request.json["input"]))
        ]
        return reply(json.dumps({"data": data}).encode())

    asked = [[{"role": "user", "content": "a?"}]] * 40
    async with serve(answer) as server:
        reward = load_reward(
            server.url, protocol="vllm-classify", text="plain", activation=activation
        )
        with caplog.at_level(logging.WARNING, "prelogit.rewards"):
            for _ in range(2):
                await reward(asked, [str(place) for place in range(40)])
    assert len([line for line in caplog.messages if "between 0 and 1" in line]) == told
