"""From text to text: populations, parents and places, without a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.core.records import Iteration, Seconds
from prelogit.methods.aisp import texts
from prelogit.methods.aisp.revision import Revision, revise
from prelogit.methods.aisp.texts import TextsState
from prelogit.search.plan import Info, Revise, Revised, Rollouts, Shape
from prelogit.wire.params import AISP

T = 9
SHAPE = Shape(window=T, dim=4, max_new_tokens=T, seed=5, prompt="é")


def decoded(plan: Any, seed: int, *, words: int = 5) -> Rollouts:
    """What an engine might answer: kept tokens stay, the others are drawn; some end early."""
    how = plan.pick
    assert isinstance(how, Revise)
    generator = torch.Generator().manual_seed(seed)
    n = plan.samples
    ids = torch.randint(1, words, (n, T), generator=generator)
    ids = torch.where(how.keep & (how.text >= 0), how.text, ids)
    length = torch.randint(1, T + 1, (n,), generator=generator)
    past = torch.arange(T) >= length[:, None]
    free = (torch.rand(n, T, generator=generator) < 0.6) & ~past
    return Rollouts(
        token_ids=torch.where(past, -1, ids),
        length=length.int(),
        stopped=length < T,
        u_dot_noise=torch.zeros(n),
        decode_seconds=0.0,
        live_seconds=0.0,
        log_ratio=torch.rand(n, generator=generator),
        kl=torch.rand(n, generator=generator),
        revised=Revised(
            free,
            free * torch.rand(n, T, generator=generator).double(),
            -torch.rand(n, generator=generator).double(),
        ),
    )


def row(k: int, rewards: torch.Tensor, info: Info) -> Iteration:
    return Iteration(
        k=k,
        mean=float(rewards.mean()),
        std=float(rewards.std(correction=0)),
        best=float(rewards.max()),
        best_so_far=float(rewards.max()),
        ess=info.ess,
        lambda_=info.lambda_,
        sigma2=info.sigma2,
        kl_gaussian=info.kl_gaussian,
        rewards=tuple(rewards.tolist()),
        weights=info.weights,
        finish=("stop",) * len(rewards),
        tokens=1,
        seconds=Seconds(),
        final=info.final,
        population=info.population,
    )


def made_from(state: TextsState, params: AISP) -> Revision:
    return revise(state.population, state.k, SHAPE, params)


def play(
    params: AISP, seed: int = 0, scale: float = 1.0
) -> tuple[list[TextsState], list[Iteration]]:
    """All rounds, rewarded by the sum of the tokens; the states before each and after the last."""
    states, rows = [texts.init(params, SHAPE)], []
    while (plan := texts.ask(states[-1], params)) is not None:
        found = decoded(plan, seed + len(rows))
        rewards = scale * found.token_ids.clamp(min=0).sum(dim=1).double()
        state, info = texts.tell(states[-1], found, rewards, params)
        states.append(state)
        rows.append(row(len(states) - 1, rewards, info))
    return states, rows


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_a_search_goes_on_from_its_stored_rows_as_if_it_had_not_stopped(
    n: int, iterations: int, seed: int
) -> None:
    params = AISP(n=n, iterations=iterations)
    states, rows = play(params, seed)
    assert len(rows) == params.rounds
    assert [one.final for one in rows] == [False] * iterations + [True]
    stored = [Iteration.model_validate_json(one.model_dump_json()) for one in rows]
    for k, state in enumerate(states):
        again = texts.restore(stored[:k], params, SHAPE)
        assert again == state
        mine, other = texts.ask(state, params), texts.ask(again, params)
        if mine is not None and other is not None:
            assert torch.equal(mine.pick.text, other.pick.text)  # type: ignore[union-attr]
            assert torch.equal(mine.pick.keep, other.pick.keep)  # type: ignore[union-attr]


def test_a_row_holds_the_tokens_of_its_own_texts_alone() -> None:
    _, rows = play(AISP(n=6, iterations=5))
    for one in rows:
        assert one.population is not None
        for text in one.population.texts:
            assert bool(text.token_ids) == (text.iteration == one.k)
    assert any(text.iteration < one.k for one in rows for text in one.population.texts)  # type: ignore[union-attr]


def test_the_population_is_the_best_distinct_texts_and_weighs_them_by_equation_18() -> None:
    params = AISP(n=20, iterations=6, lambda_=2.0, alpha=0.5)
    states, _ = play(params)
    population = states[-1].population
    assert len(population) == texts.SIZE
    assert len({one.token_ids for one in population}) == texts.SIZE
    assert [one.reward for one in population] == sorted(
        (p.reward for p in population), reverse=True
    )
    exponent = [one.reward / 2.0 + 0.5 * one.log_prior for one in population]
    total = sum(math.exp(x - max(exponent)) for x in exponent)
    want = [math.exp(x - max(exponent)) / total for x in exponent]
    assert [one.weight for one in population] == pytest.approx(want)


def effective(shares: Sequence[float]) -> float:
    return sum(shares) ** 2 / sum(x * x for x in shares)


def test_auto_lambda_makes_samples_from_three_texts_on_average_whatever_the_rewards_scale() -> None:
    params = AISP(n=20, iterations=6, alpha=1 - 1e-9)
    for scale in (1.0, 100.0, 0.01):
        states, rows = play(params, scale=scale)
        assert effective([one.weight for one in states[-1].population]) == pytest.approx(
            3.0, rel=0.01
        )
        assert rows[-1].lambda_ == pytest.approx(scale * play(params)[1][-1].lambda_, rel=1e-6)  # type: ignore[operator]
        one, other = made_from(states[4], params), made_from(play(params)[0][4], params)
        assert torch.equal(one.keep, other.keep)
        assert one.parents == other.parents


@given(st.floats(0.01, 0.999), st.integers(0, 99))
@settings(max_examples=20)
def test_auto_lambda_is_that_of_the_rewards_however_much_the_prior_has_to_say(
    alpha: float, seed: int
) -> None:
    params = AISP(n=20, iterations=1, alpha=alpha)
    plan = texts.ask(texts.init(params, SHAPE), params)
    found = decoded(plan, seed)
    assert found.revised is not None
    strong = found._replace(revised=found.revised._replace(log_prior=200 * found.revised.log_prior))
    rewards = found.token_ids.clamp(min=0).sum(dim=1).double()
    state, info = texts.tell(texts.init(params, SHAPE), strong, rewards, params)
    assert info.lambda_ is not None
    alone = torch.tensor([one.reward for one in state.population], dtype=torch.float64)
    shares = torch.softmax((alone - alone.max()) / info.lambda_, dim=0)
    assert effective(shares.tolist()) == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize(
    ("tokens", "alpha"), [(1, 0.5), (16, 0.8), (32, 0.9), (64, 0.975), (320, 0.999)]
)
def test_auto_alpha_lets_a_nat_a_token_count_alike_in_short_texts_and_less_in_long_ones(
    tokens: int, alpha: float
) -> None:
    shape = SHAPE._replace(window=tokens, max_new_tokens=1000)
    assert texts.relaxation(AISP(), shape) == pytest.approx(alpha)
    assert texts.relaxation(AISP(alpha=0.3), shape) == 0.3


def test_rewards_that_tie_weigh_alike_and_it_is_said() -> None:
    params = AISP(n=5, iterations=2)
    state, rows = texts.init(params, SHAPE), []
    while (plan := texts.ask(state, params)) is not None:
        same = torch.full((5,), 0.25, dtype=torch.float64)
        state, info = texts.tell(state, decoded(plan, len(rows)), same, params)
        rows.append(row(len(rows) + 1, same, info))
    alike = [1 / len(state.population)] * len(state.population)
    assert [one.weight for one in state.population] == alike
    assert [one.weights for one in rows] == [(0.2,) * 5] * 3
    assert rows[-1].lambda_ is None
    assert "tied in every round" in texts.warn(rows, params, SHAPE)[0]


def test_a_model_that_never_has_a_choice_is_said() -> None:
    params = AISP(n=3, iterations=1)
    state, rows = texts.init(params, SHAPE), []
    while (plan := texts.ask(state, params)) is not None:
        found = decoded(plan, 0)
        assert found.revised is not None
        sure = found.revised._replace(free=torch.zeros(3, T).bool(), sigma2=torch.zeros(3, T))
        rewards = torch.arange(3).double()
        state, info = texts.tell(state, found._replace(revised=sure), rewards, params)
        rows.append(row(len(rows) + 1, rewards, info))
    assert rows[1].population is not None
    assert rows[1].population.parents == (-1, -1, -1)
    assert "no choice" in texts.warn(rows, params, SHAPE)[0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_fails_the_prompt(bad: float) -> None:
    params = AISP(n=20, iterations=1)
    state = texts.init(params, SHAPE)
    plan = texts.ask(state, params)
    rewards = torch.arange(20).double()
    rewards[3] = bad
    with pytest.raises(RewardAnswerError, match="finite"):
        texts.tell(state, decoded(plan, 0), rewards, params)


def test_rows_of_a_search_with_a_mean_are_refused() -> None:
    params = AISP(n=3, iterations=2)
    _, rows = play(params)
    other = [rows[0].model_copy(update={"population": None})]
    with pytest.raises(InputError, match="population"):
        texts.restore(other, params, SHAPE)
