"""Our own clients of those protocols against our own service: what was asked is what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prelogit import load_reward
from prelogit.core.errors import PrelogitError
from reward_service.settings import RewardSettings
from reward_service.specs import ClassifierSpec
from tests.reward_service.conftest import run_service
from tests.rewards.conftest import save_llama

ASK = [{"role": "user", "content": "does it rain?"}]
RESPONSES = ["yes", "no, it rains.", "yes", "", "Ünïcödé 雨 🌧", "rain " * 8]
LONG = "and then it rained and rained all night and all day, on and on"


class Model(NamedTuple):
    url: str
    folder: Path
    scores: list[float]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A tiny classifier behind the service, and what the service's own protocol scores."""
    folder = save_llama(tmp_path_factory.mktemp("llama"))
    spec = ClassifierSpec(name="rm", kind="classifier", model=str(folder), max_tokens=60)
    with run_service(RewardSettings(rewards=(spec,), reward_threads=1)) as service:
        body = {"conversations": [ASK] * len(RESPONSES), "responses": RESPONSES}
        scores = service.http.post("/v1/score", json=body).json()["scores"]
        yield Model(service.url, folder, scores)


@pytest.mark.parametrize("protocol", ["vllm-classify", "vllm-pooling", "sglang", "openrlhf", "tei"])
async def test_whole_texts_come_back_as_the_service_scores_conversations(
    model: Model, protocol: str
) -> None:
    options: dict[str, Any] = {"protocol": protocol, "tokenizer": str(model.folder)}
    scored = await load_reward(model.url, **options)([ASK] * len(RESPONSES), RESPONSES)
    assert scored.rewards.tolist() == pytest.approx(model.scores, abs=1e-4)


@pytest.mark.parametrize(
    "protocol", ["vllm-classify", "vllm-pooling", "vllm-score", "infinity", "tei"]
)
async def test_pairs_and_messages_come_back_in_order(model: Model, protocol: str) -> None:
    other = [{"role": "user", "content": "and now?"}]
    conversations = [ASK, other, ASK, other, ASK, ASK]
    plain = await load_reward(model.url)(conversations, RESPONSES)
    scored = await load_reward(model.url, protocol=protocol)(conversations, RESPONSES)
    assert scored.rewards.tolist() == pytest.approx(plain.rewards.tolist(), abs=1e-4)


@pytest.mark.parametrize("protocol", ["vllm-classify", "vllm-score", "sglang", "tei"])
async def test_nothing_is_cut_without_a_word(model: Model, protocol: str) -> None:
    options: dict[str, Any] = {"protocol": protocol}
    if protocol == "sglang":
        options["tokenizer"] = str(model.folder)
    with pytest.raises(PrelogitError, match="60 tokens"):
        await load_reward(model.url, **options)([ASK] * 2, ["yes", LONG])


@pytest.mark.parametrize("protocol", ["vllm-classify", "vllm-score"])
async def test_an_unknown_model_is_told_with_the_near_one(model: Model, protocol: str) -> None:
    with pytest.raises(PrelogitError, match="did you mean 'rm'"):
        await load_reward(model.url, protocol=protocol, model="rmm")([ASK], ["yes"])
