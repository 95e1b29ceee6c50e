"""What the reward service counts of its rewards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from prelogit.rewards.hosted.reward import HostedReward, Scored
from reward_service import hosting
from reward_service.memory import remembering
from reward_service.settings import RewardSettings
from reward_service.specs import FunctionSpec

PREFIX = "prelogit_reward_service"


def body(*responses: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": "q"}]
    return {"reward": "it", "conversations": [turns] * len(responses), "responses": responses}


def scraped(http: httpx.Client) -> Callable[..., float | None]:
    answer = http.get("/metrics")
    assert answer.status_code == 200
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float | None:
        return samples.get((f"{PREFIX}_{name}", tuple(sorted(labels.items()))))

    return value


def test_items_batches_hits_and_errors_are_counted_by_reward(
    serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(conversations: Any, responses: Any) -> Scored:
        return Scored([float(text) for text in responses], [0] * len(responses))

    def load(spec: Any, threads: Any, members: Any, memory: Any) -> HostedReward:
        if spec.name == "away":
            raise OSError
        return remembering(
            HostedReward(spec.name, "function", "", "a mark", None, None, score), memory
        )

    monkeypatch.setattr(hosting, "load", load)
    specs = tuple(
        FunctionSpec(name=name, kind="function", path="not:used") for name in ("it", "away")
    )
    with serving(RewardSettings(rewards=specs), ready=False) as service:
        http = service.http
        turned_away = 0
        while http.post("/v1/score", json=body("1", "2")).status_code == 503:
            turned_away += 1
        while http.get("/health/ready").json()["detail"].count("still loading"):
            pass
        assert http.post("/v1/score", json=body("2", "3", "3")).status_code == 200
        assert http.post("/v1/score", json=body("no number")).status_code == 500
        assert http.post("/v1/score", json={**body("1"), "reward": "away"}).status_code == 500
        assert http.post("/v1/score", json={**body("1"), "reward": "unheard"}).status_code == 422
        value = scraped(http)
        it, away = {"reward": "it"}, {"reward": "away"}
        assert value("items_total", **it) == 5
        assert value("cache_hits_total", **it) == 1
        assert value("cache_items") == 3
        assert value("batch_seconds_count", **it) == 3
        assert value("errors_total", **it) == 1
        assert value("refused_total", **it) == turned_away
        assert value("waiting_items", **it) == 0
        assert (value("loaded", **it), value("loaded", **away)) == (1, 0)
        posted = {"method": "POST", "route": "/v1/score", "status": "500"}
        assert value("requests_total", **posted) == 2
        assert "unheard" not in http.get("/metrics").text
