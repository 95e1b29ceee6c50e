"""What every method of the registry promises; a new method is tested here without a line more."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prelogit.core.records import Iteration, Seconds
from prelogit.methods import METHODS
from prelogit.search.plan import Info, Plan, Question, Revise, Revised, Rollouts, Shape, TopK
from prelogit.value.network import untrained

VALUE = untrained(8, 4, seed=1)
SHAPE = Shape(window=4, dim=8, max_new_tokens=6, seed=5, prompt="p", value=VALUE, sigma2=0.3)
SMALL: dict[str, list[dict[str, Any]]] = {
    "aisp": [
        {"n": 4, "iterations": 3},
        {"n": 3, "iterations": 2, "preset": "paper"},
        {"n": 3, "iterations": 2, "proposal": "mean"},
        {"n": 1, "iterations": 1, "proposal": "mean"},
        {"n": 3, "iterations": 2, "proposal": "mean", "sigma2": "auto"},
        {"n": 4, "iterations": 3, "horizon": 2},
        {"n": 2, "iterations": 1, "horizon": 1, "variance": "fixed"},
        {"n": 1, "iterations": 1},
    ],
    "bon": [{"n": 5}, {"n": 5, "noise": "gaussian", "sigma2": "auto"}, {}],
    "soft_bon": [{"n": 5}, {"n": 1}, {"n": 5, "noise": "gaussian", "lambda_": 0.3}, {}],
    "greedy": [{}],
    "sample": [{"n": 5}, {}],
    "args": [{}, {"mode": "stochastic", "n": 3, "k": 4, "weight": 0.5}],
    "recontrol": [{"value": "v"}, {"value": "v", "n": 4, "temperature": 0.8, "steps": 0}],
    "collect": [{"value": "v", "n": 5}],
    "train": [{"value": "v"}],
}
CASES = [(name, options) for name in METHODS for options in SMALL[name]]


def rollouts_for(plan: Plan, seed: int) -> tuple[Rollouts, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    n = plan.samples
    made = Rollouts(
        torch.ones(n, plan.max_new_tokens, dtype=torch.long),
        torch.full((n,), plan.max_new_tokens, dtype=torch.int32),
        torch.zeros(n, dtype=torch.bool),
        torch.randn(n, generator=generator, dtype=torch.float64),
        0.0,
        0.0,
    )
    if isinstance(plan.pick, Revise):
        places = torch.rand(n, plan.max_new_tokens, generator=generator).double()
        told = Revised(places < 0.5, places, -places.sum(dim=1))
        made = made._replace(revised=told, log_ratio=places[:, 0], kl=places[:, 1])
    return made, torch.randn(n, generator=generator, dtype=torch.float64)


def as_row(k: int, rewards: torch.Tensor, info: Info) -> Iteration:
    return Iteration(
        k=k,
        mean=float(rewards.mean()),
        std=0.0,
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
        population=info.population,
    )


def equal(a: Any, b: Any) -> bool:
    """States are NamedTuples of numbers, tensors and more of them."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def copied(state: Any) -> Any:
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, tuple):
        parts = [copied(part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state


def check_choice(method: Any, state: Any, plan: Any, params: Any) -> None:
    """A method that picks every token takes a candidate for each row, the same one when asked again."""
    rows, step = plan.samples, 3
    ids = 10 + torch.arange(rows * plan.pick.k).view(rows, -1)
    log_p = torch.randn(ids.shape, dtype=torch.float64).log_softmax(dim=-1)
    before = torch.ones(rows, step - 1, dtype=torch.long)
    question = Question(0, torch.arange(rows), step, before, ids, log_p, 2 * rows, 0.0)
    rewards = torch.randn(ids.shape, dtype=torch.float64)
    kept = copied(state)
    choice = method.choose(state, question, rewards, params)
    assert equal(method.choose(state, question, rewards, params), choice)
    assert equal(state, kept)
    assert (choice.token_ids[:, None] == ids).sum(dim=-1).tolist() == [1] * rows
    assert choice.log_ratio.isfinite().all()
    assert (choice.kl >= 0).all()


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_method_keeps_the_contract(name: str, options: dict[str, Any]) -> None:
    method = METHODS[name]
    params = method.params(**options)
    state = method.init(params, SHAPE)
    states, rows, samples = [state], [], 0
    while (plan := method.ask(state, params)) is not None:
        assert isinstance(plan, Plan)
        assert plan.max_new_tokens == SHAPE.max_new_tokens
        rollouts, rewards = rollouts_for(plan, seed=len(rows))
        before = copied(state)
        assert equal(method.ask(state, params), plan), "asking twice gives the same plan"
        state, info = method.tell(state, rollouts, rewards, params)
        assert equal(states[-1], before), "tell leaves the old state as it was"
        again, _ = method.tell(states[-1], rollouts, rewards, params)
        assert equal(again, state), "telling twice gives the same state"
        if isinstance(plan.pick, TopK):
            check_choice(method, before, plan, params)
        assert len(info.weights) == plan.samples
        assert sum(info.weights) == pytest.approx(1)
        rows.append(as_row(len(rows) + 1, rewards, info))
        states.append(state)
        samples += plan.samples
    assert samples == params.samples
    assert len(rows) == params.rounds
    assert [row.final for row in rows] == [False] * (len(rows) - 1) + [True]
    for k, want in enumerate(states):
        assert equal(method.restore(rows[:k], params, SHAPE), want), f"restored after {k} rows"
    target = method.target(state, params)
    assert target is None or (target.samples == 1 and target.measure_kl)
    assert all(isinstance(told, str) for told in method.warn(rows, params, SHAPE))
