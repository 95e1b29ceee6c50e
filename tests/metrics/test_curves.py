from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.errors import InputError
from prelogit.core.records import Iteration, Seconds
from prelogit.metrics.curves import reward_curve


def row(k: int, rewards: Sequence[float]) -> Iteration:
    return Iteration(
        k=k,
        mean=0.0,
        std=0.0,
        best=0.0,
        best_so_far=0.0,
        rewards=tuple(rewards),
        weights=(),
        finish=(),
        tokens=3 * len(rewards),
        seconds=Seconds(decode=1.0, reward=0.5, wait=7.0),
    )


def test_a_trace_becomes_a_curve_with_its_three_cost_axes() -> None:
    curve = reward_curve([row(1, [1, 3]), row(2, [0, 2, 1]), row(3, [5])])
    assert [point.mean for point in curve] == [2, 1, 5]
    assert [point.best for point in curve] == [3, 2, 5]
    assert [point.best_so_far for point in curve] == [3, 3, 5]
    assert [(p.k, p.samples, p.tokens, p.seconds) for p in curve] == [
        (1, 2, 6, 1.5),
        (2, 5, 15, 3.0),
        (3, 6, 18, 4.5),
    ]


@given(st.lists(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=6), max_size=8))
def test_the_best_so_far_never_falls_and_ends_at_the_best_of_all(rounds: list[list[float]]) -> None:
    curve = reward_curve([row(k, rewards) for k, rewards in enumerate(rounds, start=1)])
    so_far = [point.best_so_far for point in curve]
    assert so_far == sorted(so_far)
    assert [point.samples for point in curve][-1:] == [sum(map(len, rounds))][: len(rounds)]
    if rounds:
        assert so_far[-1] == max(max(rewards) for rewards in rounds)


def test_rewards_that_are_not_finite_make_no_curve() -> None:
    with pytest.raises(InputError, match="finite"):
        reward_curve([row(1, [math.nan, math.nan])])


def test_no_rounds_no_points() -> None:
    assert reward_curve([]) == []
