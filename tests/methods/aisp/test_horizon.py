from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.align import align
from prelogit.engine.load import Model, prepare
from prelogit.methods.aisp import mean
from prelogit.methods.aisp.horizon import horizon, span, updates
from prelogit.search.plan import Gaussian, Shape
from prelogit.wire.params import AISP
from tests import tiny
from tests.aligned import CONFIG
from tests.methods.aisp.test_mean import SHAPE, noises, play

sizes = st.integers(1, 40)


@given(sizes, sizes, sizes)
def test_the_window_passes_over_every_token_from_the_first_to_the_last(
    tau: int, length: int, iterations: int
) -> None:
    params = AISP(horizon=length, iterations=iterations)
    shape = Shape(tau, 4, tau, 0, "p")
    spans = [span(k, params, shape) for k in range(params.rounds)]
    assert (spans[0].start, spans[-1].stop) == (0, tau)
    assert {one.stop - one.start for one in spans} == {horizon(params, shape)} == {min(length, tau)}
    moves = [b.start - a.start for a, b in itertools.pairwise(spans)]
    assert min(moves, default=0) >= 0
    assert max(moves, default=0) - min(moves, default=0) <= 1
    assert 1 <= updates(params, shape) <= iterations


@pytest.mark.parametrize("variance", ["preserve", "fixed"])
def test_a_horizon_over_the_whole_window_changes_nothing(variance: str) -> None:
    options = {"n": 6, "iterations": 4, "variance": variance}
    plain = AISP.model_validate({"proposal": "mean", **options})
    rows, states = play(plain)
    for length in (SHAPE.window, SHAPE.window + 9):
        again, others = play(AISP.model_validate({"horizon": length, **options}))
        assert again == rows
        for one, other in zip(states, others, strict=True):
            assert torch.equal(one.mean, other.mean)
            assert (one.sigma2, one.best) == (other.sigma2, other.best) == (other.sigma2, None)


@pytest.mark.parametrize("variance", ["preserve", "fixed"])
def test_what_is_frozen_is_the_best_samples_noise_and_what_comes_is_zero(variance: str) -> None:
    params = AISP.model_validate({"n": 5, "iterations": 4, "horizon": 2, "variance": variance})
    rows, states = play(params)
    best, noise = -float("inf"), torch.zeros(SHAPE.window, SHAPE.dim)
    for k, state in enumerate([mean.init(params, SHAPE), *states][:-1]):
        plan = mean.ask(state, params)
        assert plan is not None
        assert isinstance(plan.control, Gaussian)
        where = span(k, params, SHAPE)
        assert (plan.control.frozen, len(plan.control.mean)) == (where.start, where.stop)
        assert torch.equal(plan.control.mean[: where.start], noise[: where.start])
        assert not state.mean[where.stop :].any()
        if variance == "preserve":
            share = float(state.mean[where].double().square().mean())
            assert share + state.sigma2 == pytest.approx(0.5)
        rewards = rows[k].rewards
        if max(rewards) > best:
            best, sample = max(rewards), rewards.index(max(rewards))
            noise = torch.zeros_like(noise)
            noise[: where.stop] = _noise(plan.control, sample)
    for k in range(len(rows) + 1):
        restored = mean.restore(rows[:k], params, SHAPE)
        want = states[k - 1] if k else mean.init(params, SHAPE)
        assert torch.equal(restored.mean, want.mean)
        assert restored.sigma2 == want.sigma2


def _noise(control: Gaussian, sample: int) -> torch.Tensor:
    """v of one sample: the mean where it is frozen, noise around it elsewhere."""
    v = noises(control, sample + 1)[sample]
    v[: control.frozen] = control.mean[: control.frozen]
    return v


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(CONFIG), tiny.tokenizer(), context=160)


def test_every_sample_begins_as_the_best_one_before_it(model: Model) -> None:
    params = AISP(n=6, iterations=5, horizon=4, sigma2="auto")
    results = align(
        model, ["Hi", "What is a whale?"], tiny.scoring(tiny.vowels), method=params,
        max_new_tokens=12, keep="all",
    )  # fmt: skip
    told = []
    for result in results:
        shape = Shape(12, model.dim, 12, 0, result.prompt_id)
        for k in range(1, params.rounds):
            before = [one for one in result.candidates if one.iteration <= k]
            best = max(before, key=lambda one: (one.reward, -one.iteration, -one.sample))
            first = span(k, params, shape).start
            mine = [one for one in result.candidates if one.iteration == k + 1]
            assert {one.token_ids[:first] for one in mine} == {best.token_ids[:first]}
            told.append(len({one.token_ids for one in mine}))
    assert max(told) > 1, "and then they differ"
