"""Soft best of n draws its answer by softmax(r / lambda)."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prelogit.core.errors import RewardAnswerError
from prelogit.methods import bon, soft_bon
from prelogit.metrics.ess import effective_sample_size
from prelogit.noise import rows_of, uniform_rows
from prelogit.search.plan import Info, Rollouts, Shape
from prelogit.wire.params import BestOfN, SoftBestOfN

SHAPE = Shape(window=4, dim=8, max_new_tokens=6, seed=5, prompt="p")
finite = st.floats(-1e3, 1e3)


def told(rewards: list[float], prompt: str = "p", **options: object) -> Info:
    params = SoftBestOfN.model_validate({"n": len(rewards), **options})
    n = len(rewards)
    rollouts = Rollouts(
        torch.ones(n, 6, dtype=torch.long),
        torch.full((n,), 6, dtype=torch.int32),
        torch.zeros(n, dtype=torch.bool),
        torch.zeros(n, dtype=torch.float64),
        0.0,
        0.0,
    )
    state = soft_bon.METHOD.init(params, SHAPE._replace(prompt=prompt))
    _, info = soft_bon.tell(state, rollouts, torch.tensor(rewards, dtype=torch.float64), params)
    return info


@given(st.lists(finite, min_size=1, max_size=20), st.floats(1e-2, 1e3))
def test_weights_are_the_softmax_of_the_rewards(rewards: list[float], lambda_: float) -> None:
    w = soft_bon.weights(torch.tensor(rewards, dtype=torch.float64), lambda_)
    top = max(rewards)
    raw = [math.exp((r - top) / lambda_) for r in rewards]
    assert w.tolist() == pytest.approx([one / sum(raw) for one in raw], abs=1e-12)


def test_answers_are_drawn_as_often_as_their_weights_say() -> None:
    rewards, lambda_ = [0.0, 1.0, 3.0, 2.0], 1.5
    draws = 4000
    count = Counter(told(rewards, f"p{i}", **{"lambda": lambda_}).chosen for i in range(draws))
    weights = soft_bon.weights(torch.tensor(rewards), lambda_).tolist()
    for sample, w in enumerate(weights):
        assert abs(count[sample] - w * draws) < 4.5 * math.sqrt(draws * w * (1 - w))


def test_the_draw_is_that_of_the_documented_noise_and_is_repeated() -> None:
    w = torch.full((1000,), 0.001, dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.long)
    u = float(uniform_rows(rows_of(seed=5, prompt="p", iteration=1, sample=zero, step=zero)))
    assert soft_bon.drawn(w, SHAPE) == pytest.approx(1000 * u, abs=1)
    assert soft_bon.drawn(w, SHAPE) == soft_bon.drawn(w, SHAPE)
    assert soft_bon.drawn(w, SHAPE) != soft_bon.drawn(w, SHAPE._replace(seed=6))


@given(st.lists(st.sampled_from([0.0, 0.0, 1e-300, 0.3]), min_size=1, max_size=9))
def test_a_sample_without_weight_is_never_the_answer(values: list[float]) -> None:
    values = [*values, 0.5, 0.0]
    assert values[soft_bon.drawn(torch.tensor(values, dtype=torch.float64), SHAPE)] > 0


def test_towards_lambda_0_it_is_best_of_n_and_towards_infinity_a_plain_draw() -> None:
    rewards = [0.2, 0.9, 0.1, 0.8]
    for i in range(20):
        assert told(rewards, f"p{i}", **{"lambda": 1e-6}).chosen == 1
    assert told(rewards, **{"lambda": 1e9}).weights == pytest.approx((0.25,) * 4)


@given(st.lists(st.integers(-1000, 1000).map(float), min_size=8, max_size=40, unique=True))
def test_auto_has_an_ess_of_three_tenths(rewards: list[float]) -> None:
    info = told(rewards)
    assert info.lambda_ is not None
    assert info.ess == effective_sample_size(torch.tensor(info.weights, dtype=torch.float64))
    assert info.ess == pytest.approx(0.3 * len(rewards), rel=1e-3)


def test_ties_and_a_single_sample_weigh_the_same() -> None:
    info = told([2.0] * 4)
    assert (info.lambda_, info.weights, info.ess) == (None, (0.25,) * 4, 4.0)
    assert told([2.0] * 4, **{"lambda": 0.5}).lambda_ == 0.5
    one = told([3.0])
    assert (one.chosen, one.weights, one.ess) == (0, (1.0,), 1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("options", [{}, {"lambda": 1.0}])
def test_a_reward_that_is_not_finite_is_an_error(bad: float, options: dict[str, float]) -> None:
    with pytest.raises(RewardAnswerError, match="not a finite number"):
        told([1.0, bad], **options)
    with pytest.raises(RewardAnswerError):
        told([math.nan] * 3, **options)


@pytest.mark.parametrize("noise", [None, "gaussian"])
def test_it_draws_the_samples_of_best_of_n(noise: object) -> None:
    soft = SoftBestOfN.model_validate({"n": 5, "noise": noise})
    hard = BestOfN.model_validate({"n": 5, "noise": noise})
    plans = [
        method.ask(method.init(params, SHAPE), params)
        for method, params in ((soft_bon.METHOD, soft), (bon.METHOD, hard))
    ]
    assert [str(plan) for plan in plans] == [str(plans[1])] * 2


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "small", None, True])
def test_lambda_is_positive_or_auto(value: object) -> None:
    with pytest.raises(ValidationError):
        SoftBestOfN.model_validate({"lambda": value})
