"""Rewards that are made of others, over HTTP: from the settings to the numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from prelogit.rewards.service import ServiceReward
from reward_service.settings import RewardSettings
from reward_service.specs import (
    ClassifierSpec,
    EnsembleSpec,
    FunctionSpec,
    LengthPenalty,
    SafetySpec,
)
from tests.rewards.conftest import save_llama

FUNCTIONS = """
def length(conversations, responses):
    return [float(len(response)) for response in responses]

def vowels(conversations, responses):
    return [float(sum(letter in "aeiou" for letter in text)) for text in responses]
"""


def user(text: str = "q") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def length_and_vowels(write_module: Callable[[str], str]) -> tuple[FunctionSpec, FunctionSpec]:
    module = write_module(FUNCTIONS)
    first, second = (
        FunctionSpec(name=name, kind="function", path=f"{module}:{name}")
        for name in ("length", "vowels")
    )
    return first, second


async def test_an_ensemble_is_its_members_weighed(
    serving: Callable[..., Any], length_and_vowels: tuple[FunctionSpec, FunctionSpec]
) -> None:
    both = EnsembleSpec(name="both", kind="ensemble", members={"length": 1.0, "vowels": -2.0})
    settings = RewardSettings(rewards=(both, *length_and_vowels))  # whatever the order
    with serving(settings) as service:
        reward = ServiceReward(service.url, "both")
        scored = await reward([user()] * 3, ["a", "bbb", "aaaa"])
        infos = {info["name"]: info for info in service.http.get("/v1/rewards").json()}
    assert scored.rewards.tolist() == [-1.0, 3.0, -4.0]
    assert infos["both"]["description"] == "1 x length + -2 x vowels"
    assert len({info["fingerprint"] for info in infos.values()}) == 3


async def test_a_relative_score_depends_on_its_own_request_only(
    serving: Callable[..., Any], length_and_vowels: tuple[FunctionSpec, FunctionSpec]
) -> None:
    members = {"length": 1.0}
    spec = EnsembleSpec(name="z", kind="ensemble", members=members, normalize="prompt")
    settings = RewardSettings(
        rewards=(spec, *length_and_vowels), reward_window_seconds=5.0, reward_batch_items=7
    )
    bodies = [["a", "bbb"], ["a", "bbbbbbbbb"], ["a"], ["aa", "aa"]]  # one prompt for all of them
    with serving(settings) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False) as http:
            asked = [
                {"reward": "z", "conversations": [user()] * len(texts), "responses": texts}
                for texts in bodies
            ]
            answers = await asyncio.gather(*(http.post("/v1/score", json=body) for body in asked))
    assert [answer.status_code for answer in answers] == [200, 200, 422, 200]
    assert answers[0].json()["scores"] == pytest.approx([-1.0, 1.0])
    assert answers[1].json()["scores"] == pytest.approx([-1.0, 1.0])
    assert "has one in this call" in answers[2].json()["detail"]
    assert answers[3].json()["scores"] == [0.0, 0.0]


def test_an_ensemble_names_the_member_that_cannot_load(
    serving: Callable[..., Any],
    length_and_vowels: tuple[FunctionSpec, FunctionSpec],
    wait_until: Callable[..., None],
) -> None:
    lost = FunctionSpec(name="lost", kind="function", path="no_such_module:score")
    both = EnsembleSpec(name="both", kind="ensemble", members={"length": 1.0, "lost": 1.0})
    settings = RewardSettings(rewards=(both, *length_and_vowels, lost))
    with serving(settings, ready=False) as service:
        faults = service.app.state.hosting.faults
        wait_until(lambda: "its member 'lost' cannot score" in faults().get("both", ""))
        assert set(faults()) == {"both", "lost"}


def test_a_length_penalty_and_a_weighted_label_come_from_the_settings(
    serving: Callable[..., Any],
    length_and_vowels: tuple[FunctionSpec, FunctionSpec],
    tmp_path: Path,
) -> None:
    penalty = LengthPenalty(weight=0.5, free=2, per="character")
    folder = save_llama(tmp_path / "m", num_labels=2)
    specs = (
        length_and_vowels[0].model_copy(update={"length_penalty": penalty}),
        ClassifierSpec(name="first", kind="classifier", model=str(folder), label=0),
        ClassifierSpec(
            name="mixed", kind="classifier", model=str(folder), label={"0": 1.0, "LABEL_1": -1.0}
        ),
        ClassifierSpec(
            name="brief",
            kind="classifier",
            model=str(folder),
            label="LABEL_1",
            length_penalty=LengthPenalty(weight=1.0),
        ),
    )

    def ask(service: Any, reward: str) -> list[float]:
        body = {"reward": reward, "conversations": [user()] * 2, "responses": ["aaaa", "b"]}
        found: list[float] = service.http.post("/v1/score", json=body).json()["scores"]
        return found

    with serving(RewardSettings(rewards=specs, reward_threads=1)) as service:
        assert ask(service, "length") == [3.0, 1.0]
        first, mixed, brief = (ask(service, name) for name in ("first", "mixed", "brief"))
    second = [brief[0] + 4.0, brief[1] + 1.0]
    assert mixed == pytest.approx([a - b for a, b in zip(first, second, strict=True)], abs=1e-4)


def test_a_missing_extra_is_told_by_the_service(
    serving: Callable[..., Any],
    length_and_vowels: tuple[FunctionSpec, FunctionSpec],
    wait_until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "profanity_check", None)
    settings = RewardSettings(rewards=(SafetySpec(name="safe", kind="safety"), *length_and_vowels))
    with serving(settings, ready=False) as service:
        faults = service.app.state.hosting.faults
        wait_until(lambda: "prelogit[safety]" in faults().get("safe", ""))
        answer = service.http.get("/health/ready")
        assert answer.status_code == 503
        assert "prelogit[safety]" in answer.json()["detail"]
