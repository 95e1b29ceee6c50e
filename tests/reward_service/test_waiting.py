"""A service that has enough to do says so, and its clients wait and get their scores."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from prelogit.rewards.hosted.reward import HostedReward, Scored
from prelogit.rewards.service import ServiceReward
from reward_service import hosting
from reward_service.settings import RewardSettings
from reward_service.specs import FunctionSpec


def body(*responses: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": "q"}]
    return {"conversations": [turns] * len(responses), "responses": list(responses)}


async def test_who_is_turned_away_comes_again_and_is_served(
    serving: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[..., None],
) -> None:
    release, seen = threading.Event(), list[str]()

    def slow(conversations: Any, responses: Any) -> Scored:
        seen.extend(responses)
        assert release.wait(60)
        return Scored([float(text) for text in responses], [0] * len(responses))

    hosted = HostedReward("it", "function", "", None, None, None, slow)
    monkeypatch.setattr(hosting, "load", lambda *_: hosted)
    settings = RewardSettings(
        rewards=(FunctionSpec(name="it", kind="function", path="not:used"),), reward_waiting_items=3
    )
    with serving(settings) as service:
        batcher = service.app.state.hosting.find("it")
        async with httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False) as http:
            busy = asyncio.create_task(http.post("/v1/score", json=body("1")))
            await asyncio.to_thread(wait_until, lambda: seen == ["1"])
            queued = asyncio.create_task(http.post("/v1/score", json=body("2", "3")))
            await asyncio.to_thread(wait_until, lambda: batcher._queued == 2)
            refused = await http.post("/v1/score", json=body("4", "5"))
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert "2 responses already wait" in refused.json()["detail"]

            reward = ServiceReward(service.url, patience_seconds=60, longest_wait_seconds=0.02)
            turned_away = threading.Event()
            submit = batcher.submit

            async def noticing(*given: Any, **more: Any) -> Scored:
                try:
                    return await submit(*given, **more)
                except Exception:
                    turned_away.set()
                    raise

            monkeypatch.setattr(batcher, "submit", noticing)
            asked = body("6", "7")
            patient = asyncio.create_task(reward(asked["conversations"], asked["responses"]))
            await asyncio.to_thread(wait_until, turned_away.is_set)
            assert not patient.done()
            release.set()
            assert (await patient).rewards.tolist() == [6.0, 7.0]
            assert (await busy).json()["scores"] == [1.0]
            assert (await queued).json()["scores"] == [2.0, 3.0]
    assert "4" not in seen
