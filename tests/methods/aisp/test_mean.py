from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from prelogit.core.errors import RewardAnswerError
from prelogit.core.records import Iteration, Seconds
from prelogit.methods.aisp import mean as aisp
from prelogit.methods.aisp import weights
from prelogit.metrics.ess import effective_sample_size
from prelogit.metrics.kl import gaussian_kl
from prelogit.noise import standard_normal
from prelogit.search.plan import Gaussian, Info, Rollouts, Shape
from prelogit.wire.params import AISP

finite = st.floats(-1e3, 1e3)
rewards_and_dots = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(finite, min_size=n, max_size=n),
        st.lists(st.floats(-1e4, 1e4), min_size=n, max_size=n),
    )
)
SHAPE = Shape(window=5, dim=12, max_new_tokens=6, seed=11, prompt="é")


def tensors(pair: tuple[list[float], list[float]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(pair[0], dtype=torch.float64), torch.tensor(pair[1], dtype=torch.float64)


@given(rewards_and_dots, st.floats(1e-2, 1e3), st.floats(0.01, 0.99999), st.floats(0.05, 4))
def test_weights_are_equation_18(
    pair: tuple[list[float], list[float]], lambda_: float, alpha: float, sigma2: float
) -> None:
    r, dot = tensors(pair)
    w = weights(r, dot, lambda_=lambda_, alpha=alpha, sigma2=sigma2)
    exponent = np.array(pair[0]) / lambda_ - (1 - alpha) / sigma2 * np.array(pair[1])
    want = np.exp(exponent - exponent.max())
    want /= want.sum()
    assert w.dtype == torch.float64
    np.testing.assert_allclose(w.numpy(), want, rtol=1e-6, atol=1e-12)
    assert float(w.sum()) == pytest.approx(1, abs=1e-12)


@given(rewards_and_dots, st.floats(0.1, 10), finite)
def test_weights_do_not_change_when_a_constant_is_added(
    pair: tuple[list[float], list[float]], lambda_: float, constant: float
) -> None:
    r, dot = tensors(pair)
    options = {"lambda_": lambda_, "alpha": 0.99, "sigma2": 0.5}
    a = weights(r, dot, **options)
    b = weights(r + constant, dot, **options)
    assert torch.allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_never_enters_the_softmax(bad: float) -> None:
    with pytest.raises(RewardAnswerError, match="finite"):
        weights(torch.tensor([1.0, bad]), torch.zeros(2), lambda_=1.0, alpha=0.9, sigma2=0.5)


@given(
    st.lists(st.integers(-1000, 1000), min_size=8, max_size=40),
    st.sampled_from([100.0, 0.01, 7.3]),
)
def test_auto_lambda_follows_the_scale_of_the_reward(values: list[int], scale: float) -> None:
    assume(len(set(values)) > 1)
    r = torch.tensor(values, dtype=torch.float64) / 7
    dot = torch.linspace(-3, 3, len(r), dtype=torch.float64)
    params = AISP(proposal="mean", n=len(r))
    one = aisp.choose_lambda(r, dot, params, 0.5)
    other = aisp.choose_lambda(r * scale, dot, params, 0.5)
    assert one is not None
    assert other == pytest.approx(one * scale, rel=1e-6)
    w = weights(r, dot, lambda_=one, alpha=params.alpha, sigma2=0.5)
    ties = int((r == r.max()).sum())
    assert effective_sample_size(w) == pytest.approx(max(0.3 * len(r), ties), rel=0.02)


def test_auto_lambda_has_no_answer_for_rewards_that_tie() -> None:
    assert (
        aisp.choose_lambda(torch.ones(8).double(), torch.zeros(8), AISP(proposal="mean", n=8), 0.5)
        is None
    )


def play(
    params: AISP, shape: Shape = SHAPE, seed: int = 0
) -> tuple[list[Iteration], list[aisp.AispState]]:
    """A whole search on made-up rewards; the rows and the state after each."""
    generator = torch.Generator().manual_seed(seed)
    state, rows, states = aisp.init(params, shape), [], []
    while (plan := aisp.ask(state, params)) is not None:
        n = plan.samples
        rewards = torch.randn(n, generator=generator, dtype=torch.float64)
        assert isinstance(plan.control, Gaussian)
        dot = torch.tensor([float((plan.control.mean * v).sum()) for v in noises(plan.control, n)])
        state, info = aisp.tell(state, rollouts_with(dot), rewards, params)
        rows.append(row(len(rows) + 1, rewards, info))
        states.append(state)
    return rows, states


def rollouts_with(dot: torch.Tensor) -> Rollouts:
    n = len(dot)
    return Rollouts(
        torch.zeros(n, 6, dtype=torch.long),
        torch.full((n,), 6),
        torch.zeros(n, dtype=torch.bool),
        dot.double(),
        0.0,
        0.0,
    )


def noises(control: Gaussian, n: int) -> list[torch.Tensor]:
    """v^i by the public noise function, written out."""
    tau, dim = control.mean.shape
    key = control.key
    return [
        torch.stack(
            [
                control.mean[t]
                + control.sigma
                * standard_normal(
                    seed=key.seed,
                    prompt=key.prompt,
                    iteration=key.iteration,
                    sample=i,
                    step=t + 1,
                    dim=dim,
                )
                for t in range(tau)
            ]
        )
        for i in range(n)
    ]


def row(k: int, rewards: torch.Tensor, info: Info) -> Iteration:
    made = Iteration(
        k=k,
        mean=float(rewards.mean()),
        std=float(rewards.std(correction=0)),
        best=float(rewards.max()),
        best_so_far=float(rewards.max()),
        ess=info.ess,
        lambda_=info.lambda_,
        sigma2=info.sigma2,
        kl_gaussian=info.kl_gaussian,
        step=info.step,
        rewards=tuple(rewards.tolist()),
        weights=info.weights,
        finish=("length",) * len(rewards),
        tokens=0,
        seconds=Seconds(),
        final=info.final,
    )
    # Through JSON, as a stored row comes back.
    return Iteration.model_validate_json(made.model_dump_json())


@pytest.mark.parametrize(
    "params", [AISP(proposal="mean", n=6, iterations=4), AISP.paper(n=5, iterations=3)]
)
def test_u_rebuilt_from_the_trace_equals_u_to_the_bit(params: AISP) -> None:
    rows, states = play(params)
    for k in range(len(rows) + 1):
        restored = aisp.restore(rows[:k], params, SHAPE)
        want = states[k - 1] if k else aisp.init(params, SHAPE)
        assert torch.equal(restored.mean, want.mean)
        assert (restored.sigma2, restored.k) == (want.sigma2, want.k)
    trace = {
        "prompt_id": SHAPE.prompt,
        "method": params.model_dump(),
        "seed": SHAPE.seed,
        "window": SHAPE.window,
        "dim": SHAPE.dim,
        "iterations": [row.model_dump() for row in rows],
    }
    again = aisp.replay(trace, seed=SHAPE.seed, prompt=SHAPE.prompt, sigma2=0.5, dim=SHAPE.dim)
    assert torch.equal(again, states[-1].mean)


def test_the_published_update_is_the_weighted_noise() -> None:
    params = AISP.paper(n=5, iterations=2, lambda_=0.7)
    rows, states = play(params)
    state = aisp.init(params, SHAPE)
    for k in (1, 2):
        plan = aisp.ask(state, params)
        assert plan is not None
        assert isinstance(plan.control, Gaussian)
        assert plan.control.sigma == math.sqrt(0.5)
        v = torch.stack(noises(plan.control, 5)).double()
        want = torch.einsum("n,ntd->td", torch.tensor(rows[k - 1].weights, dtype=torch.float64), v)
        state = states[k - 1]
        assert torch.allclose(state.mean.double(), want, rtol=0, atol=1e-6)
    assert [r.final for r in rows] == [False, False, True]
    assert torch.equal(states[2].mean, states[1].mean)


def test_preserving_keeps_one_budget_of_variance() -> None:
    params = AISP(proposal="mean", n=8, iterations=9)
    rows, states = play(params)
    for state in states:
        share = float(state.mean.double().square().mean())
        assert share + state.sigma2 == pytest.approx(0.5, rel=1e-9)
        assert state.sigma2 >= 0.02 * 0.5 * (1 - 1e-6)
    sigmas = [row.sigma2 for row in rows]
    assert sigmas[0] == 0.5
    # About a fifth of the noise is left at the end (f = 0.2); d * tau is small here.
    assert 0.05 < sigmas[-1] / 0.5 < 0.45  # type: ignore[operator]


def test_a_mean_that_would_take_the_whole_budget_is_held() -> None:
    params = AISP(proposal="mean", n=1, iterations=1)
    state = aisp.init(params, SHAPE)._replace(mean=torch.full((5, 12), 5.0))
    moved = aisp._advance(state, (1.0,), 0.5, (0.0,), params)
    assert float(moved.mean.double().square().mean()) == pytest.approx(0.98 * 0.5, rel=1e-6)
    assert moved.sigma2 == pytest.approx(0.02 * 0.5, rel=1e-4)


def test_gaussian_kl_is_the_closed_form() -> None:
    torch.manual_seed(0)
    mean = torch.randn(3, 4)
    assert gaussian_kl(mean, 0.5, 0.5) == pytest.approx(float(mean.square().sum()) / (2 * 0.5))
    p = torch.distributions.Normal(torch.zeros(3, 4), 0.5**0.5)
    q = torch.distributions.Normal(mean, 0.2**0.5)
    want = float(torch.distributions.kl_divergence(q, p).sum())
    assert gaussian_kl(mean, 0.2, 0.5) == pytest.approx(want, rel=1e-5)


def test_a_random_walk_is_said() -> None:
    walk, _ = play(AISP.paper(n=16, iterations=6))
    assert any("random" in told for told in aisp.warn(walk, AISP.paper(n=16, iterations=6), SHAPE))
    kept, _ = play(AISP(proposal="mean", n=16, iterations=6))
    assert aisp.warn(kept, AISP(proposal="mean", n=16, iterations=6), SHAPE) == ()


def test_rewards_that_tie_weigh_alike_also_where_the_prior_would_tell_them_apart() -> None:
    params = AISP(proposal="mean", n=4, iterations=3, alpha=0.5)
    state = aisp.init(params, SHAPE)
    for rewards in (torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.full((4,), 7.0)):
        plan = aisp.ask(state, params)
        assert plan is not None
        assert isinstance(plan.control, Gaussian)
        mean = plan.control.mean
        dot = torch.tensor([float((mean * v).sum()) for v in noises(plan.control, 4)])
        state, info = aisp.tell(state, rollouts_with(dot), rewards.double(), params)
    assert len(set(dot.tolist())) == 4
    assert info.weights == (0.25,) * 4
    assert (info.ess, info.lambda_) == (4.0, None)
