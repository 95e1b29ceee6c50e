"""A budget in a request: refused where it cannot be spent, and what is filled in beside it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prelogit.wire.jobs import Budget, JobRequest
from prelogit.wire.limits import POOL, even_rounds, pool_rounds, pool_size
from prelogit.wire.params import AISP, BestOfN


def request(count: int, samples: int, **fields: Any) -> JobRequest:
    fields = {"method": AISP(n=4), **fields}
    made = JobRequest(prompts=("hm",) * count, budget=Budget(samples=samples), **fields)
    return made.filled(model="m")


@pytest.mark.parametrize("method", [{"name": "bon"}, {"name": "greedy"}, {"name": "args"}])
def test_methods_of_one_round_have_nothing_to_hand_on(method: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"{method['name']} has one round.*leave budget out"):
        JobRequest.model_validate({"prompts": ["a"], "method": method, "budget": {"samples": 99}})


def test_less_than_a_round_of_each_is_refused_with_what_would_do() -> None:
    assert request(3, 12).budget == Budget(samples=12)
    with pytest.raises(
        ValidationError, match=r"one round of 4 for each of 3.*to 12 or more"
    ) as told:
        request(3, 11)
    assert told.value.errors()[0]["loc"] == ("budget",)
    with pytest.raises(ValidationError):
        request(3, 0)
    with pytest.raises(ValidationError, match="extra"):
        JobRequest.model_validate({"prompts": ["a"], "budget": {"samples": 99, "tokens": 5}})


def test_a_prompt_may_have_half_more_than_its_share_or_what_the_method_says() -> None:
    assert request(2, 80).method.rounds == 15
    assert request(2, 8).method.rounds == 2  # more than one, or there is nothing to hand on
    assert request(2, 80, method=AISP(n=4, iterations=6)).method.rounds == 7
    stored = request(2, 80)
    assert JobRequest.model_validate(stored.model_dump()).filled(model="m") == stored


def test_baselines_and_progress_go_by_the_even_share() -> None:
    made = request(2, 80, baselines=(BestOfN(), BestOfN(n=7)))
    assert [arm.samples for arm in made.baselines] == [40, 7]
    assert made.rounds_of(len(made.prompts)) == 10 + 2
    assert request(2, 80, method=AISP(n=4, iterations=6)).rounds_of(2) == 7
    assert JobRequest(prompts=("a",), method=AISP(iterations=6)).rounds_of(1) == 7


@given(st.integers(1, 300), st.integers(1, 8), st.integers(1, 9), st.integers(0, 4000))
def test_pools_are_alike_and_never_have_more_than_the_budget(
    prompts: int, batch_size: int, n: int, extra: int
) -> None:
    budget, method = Budget(samples=prompts * n + extra), AISP(n=n)
    size = pool_size(prompts, batch_size)
    assert 1 <= size <= POOL * batch_size
    sizes = [len(range(at, min(at + size, prompts))) for at in range(0, prompts, size)]
    assert len(sizes) == -(-prompts // (POOL * batch_size))
    rounds = [pool_rounds(budget, method, prompts=prompts, members=one) for one in sizes]
    even = even_rounds(budget, method, prompts)
    assert all(have >= one * even >= one for have, one in zip(rounds, sizes, strict=True))
    assert sum(rounds) * n <= budget.samples < (sum(rounds) + len(rounds)) * n
