"""What RE-Control and its collecting ask of the engine."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from prelogit.core.errors import InputError
from prelogit.methods import collect, recontrol
from prelogit.search.plan import Ascend, Greedy, NoiseKey, Plan, Shape, TopP
from prelogit.value.network import untrained
from prelogit.wire.params import CollectStates, REControl

NET = untrained(8, 4, seed=1)
SHAPE = Shape(6, 8, 6, 5, "p", NET)


def test_one_greedy_response_whose_pre_logits_climb() -> None:
    params = REControl(value="v", learning_rate=0.5, steps=7)
    plan = recontrol.ask(recontrol.init(params, SHAPE), params)
    assert plan == Plan(1, Ascend(NET, 0.5, 7), Greedy(), 6)


def test_with_a_temperature_n_responses_are_drawn() -> None:
    params = REControl(value="v", n=4, temperature=0.8, top_p=0.7)
    plan = recontrol.ask(recontrol.init(params, SHAPE), params)
    assert plan is not None
    assert plan.samples == params.samples == 4
    assert plan.pick == TopP(0.8, 0.7, NoiseKey(5, "p", 1))
    with pytest.raises(ValidationError, match="give a temperature"):
        REControl(value="v", n=4)


def test_the_kl_is_measured_along_a_draw_from_the_steered_model() -> None:
    params = REControl(value="v", learning_rate=0.5, steps=7)
    target = recontrol.target(recontrol.init(params, SHAPE), params)
    key = NoiseKey(5, "p", 2)
    assert target == Plan(1, Ascend(NET, 0.5, 7), TopP(1.0, 1.0, key), 6, measure_kl=True)


def test_without_a_network_nothing_begins() -> None:
    with pytest.raises(InputError, match="needs a value network"):
        recontrol.init(REControl(value="v"), SHAPE._replace(value=None))


def test_collecting_keeps_the_pre_logits_of_samples_by_top_p() -> None:
    params = CollectStates(value="v", n=3)
    plan = collect.ask(collect.METHOD.init(params, SHAPE), params)
    pick = TopP(0.7, 0.95, NoiseKey(5, "p", 1))
    assert plan == Plan(3, None, pick, 6, keep_hidden=True)


@pytest.mark.parametrize("value", ["", "../v", "a/b", ".v", "x" * 101])
def test_states_are_collected_under_a_name(value: str) -> None:
    with pytest.raises(ValidationError):
        CollectStates(value=value)
