"""The NLL of a response is the cross entropy of the whole model's own forward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from prelogit.engine.likelihood import _by_steps, measured_nll, response_nll
from prelogit.engine.load import Model, prepare
from prelogit.search.plan import Greedy, Plan, SearchId
from tests import tiny
from tests.engine.conftest import FAMILIES
from tests.engine.test_families import PROMPTS, decode

RESPONSES = [[7], [3 + (5 * i) % 250 for i in range(40)], [], [11, 0]]


def own_nll(family: Any, prompt: list[int], response: list[int]) -> float:
    """By plain transformers: one forward pass of all tokens with the model's own attention."""
    module = tiny.language_model(family)
    with torch.inference_mode():
        logits = module(input_ids=torch.tensor([prompt + response])).logits[0]
    return float(cross_entropy(logits[len(prompt) - 1 : -1], torch.tensor(response)))


@pytest.mark.parametrize("attention", ["shared", "eager"])
@pytest.mark.parametrize("prompt", sorted(PROMPTS))
def test_it_is_the_cross_entropy_of_the_models_own_forward(
    family: Any, attention: Any, prompt: str
) -> None:
    model = prepare("tiny", tiny.language_model(family), tiny.tokenizer(), attention=attention)
    found = response_nll(model, PROMPTS[prompt], RESPONSES)
    assert found[2] is None
    for response, nll in zip(RESPONSES, found, strict=True):
        if response:
            assert nll == pytest.approx(own_nll(family, PROMPTS[prompt], response), rel=1e-4)


@pytest.mark.parametrize("attention", ["shared", "eager"])
def test_step_by_step_is_the_same(
    family: Any, attention: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of a model that is split among processes, on one that is not."""
    model = prepare("tiny", tiny.language_model(family), tiny.tokenizer(), attention=attention)
    want = response_nll(model, PROMPTS["long"], RESPONSES)
    monkeypatch.setattr("prelogit.engine.likelihood._at_once", _by_steps)
    found = response_nll(model, PROMPTS["long"], RESPONSES)
    assert found[2] is None
    assert [found[i] for i in (0, 1, 3)] == pytest.approx([want[i] for i in (0, 1, 3)], rel=1e-4)


@pytest.fixture
def model() -> Model:
    return prepare("tiny", tiny.language_model(FAMILIES["gemma3-sliding"]), tiny.tokenizer())


def test_a_prefix_that_is_lent_comes_back_as_it_was(model: Model) -> None:
    prefix = model.decoder.prefill(PROMPTS["long"])
    before = [(keys.clone(), values.clone()) for keys, values in prefix.layers]
    first = response_nll(model, PROMPTS["long"], RESPONSES, prefix=prefix)
    assert response_nll(model, PROMPTS["long"], RESPONSES, prefix=prefix) == first
    assert first == response_nll(model, PROMPTS["long"], RESPONSES)
    cache: Any = prefix.cache
    for (keys, values), layer in zip(before, cache.layers, strict=True):
        assert torch.equal(layer.keys, keys)
        assert torch.equal(layer.values, values)


def test_the_most_likely_answer_is_less_unlikely_than_another(model: Model) -> None:
    rollouts = decode(model, {"short": Plan(1, None, Greedy(), 12)})["short"]
    greedy = rollouts.token_ids[0, : int(rollouts.length[0])].tolist()
    other = [*greedy[:-1], (greedy[-1] + 1) % 257]
    mine, theirs = response_nll(model, PROMPTS["short"], [greedy, other])
    assert mine is not None
    assert theirs is not None
    assert 0 <= mine < theirs


def test_whatever_fails_costs_only_the_number(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def short(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.head, "logits", short)
    assert measured_nll(model, PROMPTS["short"], RESPONSES) == [None] * 4
    assert "no nll" in caplog.text


def test_an_engine_lends_the_prompts_it_holds(model: Model) -> None:
    engine = model.engine()
    engine.admit("a", PROMPTS["short"])
    assert engine.prefix("a") is None
    engine.add(SearchId("a"), Plan(2, None, Greedy(), 3))
    while engine.busy:
        engine.step()
    prefix = engine.prefix("a")
    assert prefix is not None
    assert list(prefix.token_ids) == PROMPTS["short"]
    engine.release("a")
    assert engine.prefix("a") is None
