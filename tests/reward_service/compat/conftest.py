"""Services that speak the protocols of others: around a real classifier, and around functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reward_service.settings import RewardSettings
from reward_service.specs import ClassifierSpec, FunctionSpec
from tests.reward_service.conftest import Service, run_service
from tests.rewards.conftest import letter_tokenizer, save_llama

LENGTHS = """
def length(conversations, responses):
    '''How long the response is, and a tenth of what it answers.'''
    return [
        len(response) + sum(len(m["content"]) for m in conversation) / 10
        for conversation, response in zip(conversations, responses)
    ]

def broken(conversations, responses):
    return [float("nan")] * len(responses)
"""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One reward, a tiny random classifier that reads 60 tokens; one token a letter."""
    folder = save_llama(tmp_path_factory.mktemp("llama"))
    spec = ClassifierSpec(name="rm", kind="classifier", model=str(folder), max_tokens=60)
    with run_service(RewardSettings(rewards=(spec,), reward_threads=1)) as service:
        yield service


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One of the three labels of a classifier."""
    folder = save_llama(tmp_path_factory.mktemp("three"), num_labels=3)
    spec = ClassifierSpec(name="rm", kind="classifier", model=str(folder), label=1)
    with run_service(RewardSettings(rewards=(spec,), reward_threads=1)) as service:
        yield service


@pytest.fixture
def functions(write_module: Callable[[str], str]) -> Iterator[Service]:
    """Two rewards that cannot score whole texts, one of which answers nonsense."""
    module = write_module(LENGTHS)
    specs = tuple(
        FunctionSpec(name=name, kind="function", path=f"{module}:{name}")
        for name in ("length", "broken")
    )
    with run_service(RewardSettings(rewards=specs, reward_max_body_bytes=4096)) as service:
        yield service


@pytest.fixture
def tokenizer() -> Any:
    """The classifier's."""
    return letter_tokenizer()


@pytest.fixture
def whole(classifier: Service) -> Callable[[str], float]:
    """whole(response) -> what our own protocol scores it with, as an answer to "does it rain?"."""

    def score(response: str) -> float:
        body = {
            "conversations": [[{"role": "user", "content": "does it rain?"}]],
            "responses": [response],
        }
        found: float = classifier.http.post("/v1/score", json=body).json()["scores"][0]
        return found

    return score
