"""The three steps through ``align``: collect, train, decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from prelogit.align import align
from prelogit.core.errors import InputError
from prelogit.engine.load import Model, prepare
from prelogit.value.fit import Fitting
from prelogit.value.states import read_states
from prelogit.value.train import train_value
from prelogit.wire.params import BestOfN, CollectStates, Greedy, REControl
from tests import tiny
from tests.engine.conftest import FAMILIES

PROMPTS = ["Hi", "What is a whale?", "Tea", "Tell me", "Who", "More"]
SCORE = tiny.scoring(tiny.vowels)
COLLECT = CollectStates(value="vowels", n=6, temperature=1.0)


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(FAMILIES["llama"]), tiny.tokenizer())


@pytest.fixture(scope="module")
def home(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a value that was collected and trained."""
    home = tmp_path_factory.mktemp("home")
    collected = align(model, PROMPTS, SCORE, method=COLLECT, max_new_tokens=10, home=home)
    assert [one.samples for one in collected] == [6] * len(PROMPTS)
    train_value("vowels", home=home, fitting=Fitting(epochs=20, width=16))
    return home


def test_states_are_those_of_the_responses_with_their_rewards(model: Model, home: Path) -> None:
    states, source = read_states(home / "values" / "vowels")
    again = align(
        model,
        PROMPTS,
        SCORE,
        method=BestOfN(n=6, temperature=1.0, top_p=0.95),
        max_new_tokens=10,
        keep="all",
    )
    assert (source.model, source.n, source.max_new_tokens) == (model.ref, 6, 10)
    assert source.reward is not None
    assert [one.prompt for one in states] == ["p1", "p2", "p3", "p4", "p5", "p6"]
    for mine, theirs in zip(states, again, strict=True):
        assert mine.rewards.tolist() == [c.reward for c in theirs.candidates]
        assert mine.length.tolist() == [len(c.token_ids) for c in theirs.candidates]
        logits = model.head.logits(mine.hidden)
        likely = logits.log_softmax(dim=-1)
        ids = [token for c in theirs.candidates for token in c.token_ids]
        drawn = likely.gather(1, torch.tensor(ids)[:, None])[:, 0]
        # Every token is one that top-p allows after its own pre-logit.
        above = (likely > drawn[:, None] + 1e-2).double()
        assert (above * likely.exp()).sum(dim=-1).max() < 0.951


def test_a_value_steers_towards_what_it_tells(model: Model, home: Path) -> None:
    def run(steps: int, rate: float = 30.0) -> list[str | None]:
        method = REControl(value="vowels", steps=steps, learning_rate=rate)
        results = align(model, PROMPTS, SCORE, method=method, max_new_tokens=10, home=home)
        assert all(one.status == "succeeded" for one in results)
        for one in results:
            assert one.kl.token_exact is not None
            assert (one.kl.token_exact > 1e-3) == (steps > 0)
            assert one.kl.token_sampled is not None
            assert one.samples == one.iterations == 1
        return [one.response for one in results]

    greedy = align(model, PROMPTS, SCORE, method=BestOfN(n=1, temperature=1e-4), max_new_tokens=10)
    assert run(0) == [one.response for one in greedy]
    assert run(5) != run(0)
    assert run(5) == run(5)
    sampled = REControl(value="vowels", steps=3, n=4, temperature=1.0)
    (result, *_) = align(model, PROMPTS, SCORE, method=sampled, max_new_tokens=10, home=home)
    assert result.samples == 4
    path = str(home / "values" / "vowels" / "value.safetensors")
    by_path = REControl(value=path, steps=3, n=4, temperature=1.0)
    (other, *_) = align(model, PROMPTS, SCORE, method=by_path, max_new_tokens=10)
    assert other.response == result.response


def test_a_value_steers_the_arm_that_names_it(model: Model, home: Path) -> None:
    steered = REControl(value="vowels", steps=5, learning_rate=30.0)
    options: dict[str, Any] = {"max_new_tokens": 10, "home": home}
    alone = align(model, PROMPTS, SCORE, method=steered, **options)
    plain = align(model, PROMPTS, SCORE, method=Greedy(), baselines=[steered], **options)
    other = align(model, PROMPTS, SCORE, method=steered, baselines=[Greedy()], **options)
    assert [one.baselines[0].response for one in plain] == [one.response for one in alone]
    assert [one.baselines[0].response for one in other] == [one.response for one in plain]
    assert [one.response for one in other] == [one.response for one in alone]
    assert [one.response for one in plain] != [one.response for one in alone]


def test_what_cannot_be_used_is_told_before_anything_is_decoded(model: Model, home: Path) -> None:
    other = prepare("other", tiny.language_model(FAMILIES["llama"], seed=1), tiny.tokenizer())
    with pytest.raises(InputError, match="belongs to tiny with fingerprint") as told:
        align(other, PROMPTS, SCORE, method=REControl(value="vowels"), home=home)
    assert told.value.field == "method.value"
    with pytest.raises(InputError, match="there is no value 'consonants'; there are vowels"):
        align(model, PROMPTS, SCORE, method=REControl(value="consonants"), home=home)
    with pytest.raises(InputError, match="check the path"):
        align(model, PROMPTS, SCORE, method=REControl(value="/nowhere/v.safetensors"))


def test_states_of_two_rewards_are_not_mixed(model: Model, home: Path) -> None:
    from prelogit.rewards.load import load_reward

    with pytest.raises(InputError, match=r"states of reward test .*, not tests.tiny:vowels"):
        align(
            model,
            [{"id": "new", "prompt": "Hi"}],
            load_reward("tests.tiny:vowels"),
            method=COLLECT,
            max_new_tokens=10,
            home=home,
        )
