"""How ARGS picks a token among the candidates."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from prelogit.core.records import Guided, Iteration, Seconds
from prelogit.methods import args
from prelogit.noise import rows_of, uniform_rows
from prelogit.search.one_round import OneRoundState
from prelogit.search.plan import Choice, Plan, Question, Shape, TopK
from prelogit.wire.params import ARGS

SHAPE = Shape(window=6, dim=8, max_new_tokens=6, seed=5, prompt="p")
STATE = OneRoundState(0, SHAPE)
# Sums of such numbers are exact, so that equal means equal.
exact = st.integers(-4096, 4096).map(lambda number: number / 64)
tables = st.integers(1, 5).flatmap(
    lambda k: st.lists(
        st.lists(st.tuples(exact, exact), min_size=k, max_size=k), min_size=1, max_size=4
    )
)


def question(log_p: Tensor, step: int = 2) -> Question:
    m, k = log_p.shape
    ids = 100 + torch.arange(m * k).view(m, k)
    return Question(0, torch.arange(m), step, torch.zeros(m, step - 1), ids, log_p, 0, 0.0)


def chosen(log_p: Tensor, rewards: Tensor, params: ARGS, step: int = 2) -> tuple[list[int], Choice]:
    """The places that were chosen, and all that was told."""
    asked = question(log_p, step)
    choice = args.choose(STATE, asked, rewards, params)
    m, k = log_p.shape
    return (choice.token_ids - 100 - k * torch.arange(m)).tolist(), choice


def split(table: list[list[tuple[float, float]]]) -> tuple[Tensor, Tensor]:
    """log p, most likely first as the engine offers them, and rewards."""
    both = torch.tensor(table, dtype=torch.float64)
    return both[..., 0].sort(dim=-1, descending=True).values - 64, both[..., 1]


@given(tables, st.integers(0, 12).map(lambda number: number / 4))
def test_greedy_takes_the_best_of_log_p_plus_weighted_reward(
    table: list[list[tuple[float, float]]], weight: float
) -> None:
    log_p, rewards = split(table)
    got, choice = chosen(log_p, rewards, ARGS(weight=weight))
    for row, place in enumerate(got):
        scores = [
            Fraction(p) + Fraction(weight) * Fraction(r)
            for p, r in zip(log_p[row].tolist(), rewards[row].tolist(), strict=True)
        ]
        assert place == scores.index(max(scores))  # of equals the most likely
        # P is all on one token.
        assert choice.kl[row] == choice.log_ratio[row] == -log_p[row, place]


@given(tables)
def test_without_weight_greedy_is_plain_greedy_decoding(
    table: list[list[tuple[float, float]]],
) -> None:
    log_p, rewards = split(table)
    got, _ = chosen(log_p, rewards, ARGS(weight=0))
    assert got == [0] * len(table)


@given(tables, exact, st.sampled_from(["greedy", "stochastic"]), st.integers(1, 9))
def test_rewards_that_are_shifted_change_nothing(
    table: list[list[tuple[float, float]]], shift: float, mode: str, step: int
) -> None:
    log_p, rewards = split(table)
    params = ARGS.model_validate({"mode": mode, "weight": 0.75, "temperature": 0.7})
    got, choice = chosen(log_p, rewards, params, step)
    again, other = chosen(log_p, rewards + shift, params, step)
    assert again == got
    assert torch.equal(other.kl, choice.kl)
    assert torch.equal(other.log_ratio, choice.log_ratio)


def test_stochastic_draws_by_the_softmax_of_the_scores() -> None:
    log_p = torch.tensor([[0.5, 0.25, 0.125, 0.05]], dtype=torch.float64).log()
    rewards = torch.tensor([[0.0, 1.0, 0.5, 2.0]], dtype=torch.float64)
    params = ARGS(mode="stochastic", weight=0.8, temperature=0.6)
    want = torch.softmax((log_p + 0.8 * rewards) / 0.6, dim=-1)[0]
    draws, ratios = Counter[int](), []
    for step in range(1, 4001):
        (place,), choice = chosen(log_p, rewards, params, step)
        draws[place] += 1
        ratios.append(float(choice.log_ratio))
        assert ratios[-1] == pytest.approx(float(want[place].log() - log_p[0, place]))
    for place in range(4):
        spread = math.sqrt(float(want[place]) * (1 - float(want[place])) / 4000)
        assert draws[place] / 4000 == pytest.approx(float(want[place]), abs=5 * spread)
    kl = float((want * (want.log() - log_p[0])).sum())
    assert float(choice.kl) == pytest.approx(kl)
    # The sampled estimator is right on the mean.
    assert sum(ratios) / 4000 == pytest.approx(kl, abs=0.1)


def test_a_draw_is_named_by_seed_prompt_path_and_step() -> None:
    log_p = torch.full((3, 4), 0.25, dtype=torch.float64).log()
    params = ARGS(mode="stochastic", n=3, temperature=1.0)
    got, _ = chosen(log_p, torch.zeros(3, 4), params, step=7)
    uniform = uniform_rows(
        rows_of(
            seed=5,
            prompt="p",
            iteration=1,
            sample=torch.arange(3),
            step=torch.full((3,), 7),
        )
    )
    assert got == (4 * uniform).floor().int().tolist()


@pytest.mark.parametrize("mode", ["greedy", "stochastic"])
@pytest.mark.parametrize("temperature", [1e-300, 0.7, 1e300])
@pytest.mark.parametrize("weight", [0.0, 1.0, 1e308])
def test_numbers_of_any_size_pick_a_candidate(mode: str, temperature: float, weight: float) -> None:
    log_p = torch.tensor([[-0.1, -3.0, -700.0, -math.inf]], dtype=torch.float64)
    rewards = torch.tensor([[-1e300, 1e300, 0.0, 1e300]], dtype=torch.float64)
    params = ARGS.model_validate({"mode": mode, "temperature": temperature, "weight": weight})
    (place,), choice = chosen(log_p, rewards, params)
    # The last has no chance under the model, and none here.
    assert place in (range(3) if temperature > 1 else (1,) if weight else (0,))
    assert float(choice.log_ratio) == float(choice.log_ratio)
    assert math.isfinite(float(choice.kl))
    assert float(choice.kl) >= 0


def test_all_tokens_are_asked_for_in_one_round() -> None:
    params = ARGS(mode="stochastic", n=3, k=7)
    assert args.ask(STATE, params) == Plan(3, None, TopK(7), 6)
    assert params.samples == 3
    with pytest.raises(ValidationError, match='give mode "stochastic"'):
        ARGS(n=2)


@pytest.mark.parametrize(("exact_kl", "told"), [(None, 1), (1.5, 0)])
def test_where_there_is_no_kl_the_reason_is_told(exact_kl: float | None, told: int) -> None:
    row = Iteration(
        k=1,
        mean=0,
        std=0,
        best=0,
        best_so_far=0,
        rewards=(0.0,),
        weights=(1.0,),
        finish=("stop",),
        tokens=1,
        seconds=Seconds(),
        guided=Guided(scored_partials=4, token_sampled=1.0, token_exact=exact_kl),
    )
    warnings = args.warn([row], ARGS(), SHAPE)
    assert len(warnings) == told
    assert all("KL is infinite" in text for text in warnings)
