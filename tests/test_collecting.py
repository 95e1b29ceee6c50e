"""A collection that was interrupted draws what is missing, and nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from prelogit.collecting import collect_states
from prelogit.core.errors import InputError
from prelogit.engine.load import Model, prepare
from prelogit.value.states import read_states, shard
from prelogit.wire.params import CollectStates
from tests import tiny
from tests.engine.conftest import FAMILIES

METHOD = CollectStates(value="v", n=4)
PROMPTS = ["Why?", "What?", {"id": "long", "prompt": "x" * 400}, "Who?"]


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(FAMILIES["llama"]), tiny.tokenizer(), context=200)


def test_what_is_there_is_not_drawn_again(model: Model, tmp_path: Path) -> None:
    told: list[str] = []
    options: Any = {"max_new_tokens": 6, "home": tmp_path, "on_prompt": told.append}
    first = collect_states(model, PROMPTS, tiny.scoring(tiny.vowels), METHOD, **options)
    assert (first.prompts, first.responses, first.already) == (3, 12, 0)
    assert list(first.failed) == ["long"]
    assert "tokens" in first.failed["long"]
    folder = tmp_path / "values" / "v"
    before, _ = read_states(folder)
    shard(folder, "p2").unlink()
    told.clear()
    again = collect_states(model, PROMPTS, tiny.scoring(tiny.vowels), METHOD, **options)
    assert (again.prompts, again.already, told) == (1, 2, ["p2"])
    after, _ = read_states(folder)
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.hidden, other.hidden)
        assert torch.equal(one.rewards, other.rewards)


def test_what_is_asked_otherwise_is_refused_before_it_is_drawn(
    model: Model, tmp_path: Path
) -> None:
    options: Any = {"max_new_tokens": 6, "home": tmp_path}
    score = tiny.scoring(tiny.vowels)
    collect_states(model, ["Why?"], score, METHOD, **options)
    with pytest.raises(InputError, match="of n 4, not 5"):
        collect_states(model, ["Why?"], score, CollectStates(value="v", n=5), **options)
    with pytest.raises(InputError, match="of seed 0, not 1"):
        collect_states(model, ["Why?"], score, METHOD, **options, seed=1)
    with pytest.raises(InputError, match="another text under the prompt id 'p1'"):
        collect_states(model, ["Who?"], score, METHOD, **options)
