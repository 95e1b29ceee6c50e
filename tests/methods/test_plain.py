"""Greedy decoding and plain sampling: the model as it is, whatever the reward says."""

from __future__ import annotations

import pytest
import torch

from prelogit.core.errors import InputError
from prelogit.methods import bon, greedy, sample
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, Rollouts, Shape, TopP
from prelogit.wire import params

SHAPE = Shape(window=4, dim=8, max_new_tokens=6, seed=5, prompt="p")


def rollouts(n: int) -> Rollouts:
    return Rollouts(
        torch.ones(n, 6, dtype=torch.long),
        torch.full((n,), 6, dtype=torch.int32),
        torch.zeros(n, dtype=torch.bool),
        torch.zeros(n, dtype=torch.float64),
        0.0,
        0.0,
    )


def test_greedy_asks_for_one_response() -> None:
    state = greedy.METHOD.init(params.Greedy(), SHAPE)
    assert greedy.ask(state, params.Greedy()) == Plan(1, None, Greedy(), 6)
    told, info = greedy.tell(state, rollouts(1), torch.tensor([-3.0]), params.Greedy())
    assert (info.chosen, info.weights) == (0, (1.0,))
    assert greedy.ask(told, params.Greedy()) is None


def test_samples_are_drawn_from_the_model_and_the_first_is_the_answer() -> None:
    for given, want in (
        (params.Sample(n=3), (1.0, 1.0)),
        (params.Sample(n=3, top_p=0.5), (1.0, 0.5)),
    ):
        state = sample.METHOD.init(given, SHAPE)
        pick = TopP(*want, NoiseKey(5, "p", 1))
        assert sample.METHOD.ask(state, given) == Plan(3, None, pick, 6)
        _, info = sample.tell(state, rollouts(3), torch.tensor([1.0, 9.0, 2.0]), given)
        assert (info.chosen, info.weights, info.ess) == (0, (1 / 3,) * 3, 3.0)
    assert params.Sample().samples == 1


def test_gaussian_noise_may_have_the_models_own_variance() -> None:
    given = params.BestOfN(n=3, noise="gaussian", sigma2="auto")
    state = bon.METHOD.init(given, SHAPE._replace(sigma2=2.25))
    plan = bon.METHOD.ask(state, given)
    assert isinstance(plan.control, Gaussian)
    assert plan.control.sigma == 1.5
    _, info = bon.tell(state, rollouts(3), torch.tensor([1.0, 9.0, 2.0]), given)
    assert info.sigma2 == 2.25
    with pytest.raises(InputError, match="give the number"):
        bon.METHOD.ask(bon.METHOD.init(given, SHAPE), given)
