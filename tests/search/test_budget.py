"""Rounds go where they promise most, never beyond the budget, and by the rows alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.records import Iteration, Seconds
from prelogit.search.budget import Standing, allowances, expected_gain, first_rounds, grants

SPREADS = st.floats(0.01, 5)
HEIGHTS = st.floats(-5, 5)


def row(mean: float, std: float, best: float, k: int = 1) -> Iteration:
    return Iteration(
        k=k,
        mean=mean,
        std=std,
        best=best,
        best_so_far=best,
        rewards=(mean,),
        weights=(1.0,),
        finish=("stop",),
        tokens=1,
        seconds=Seconds(),
    )


Curve = list[tuple[float, float, float]]
CURVES = st.lists(
    st.lists(st.tuples(HEIGHTS, SPREADS, st.floats(0, 2)), min_size=12, max_size=12),
    min_size=1,
    max_size=6,
)


def curve(steps: Curve, scale: float = 1.0, shift: float = 0.0) -> list[Iteration]:
    """Rows of means and spreads whose best rises by the steps."""
    rows, best = [], -math.inf
    for k, (mean, std, above) in enumerate(steps, start=1):
        best = max(best, mean + above)
        rows.append(row(scale * mean + shift, scale * std, scale * best + shift, k))
    return rows


def spent(curves: Sequence[Sequence[Iteration]], rounds: int, most: int = 12) -> list[int]:
    """What each prompt gets of a budget, one wave after the other."""
    had = [0] * len(curves)
    while True:
        found = allowances(
            [Standing(rows[:k], most) for rows, k in zip(curves, had, strict=True)], rounds
        )
        assert all(new >= old for new, old in zip(found, had, strict=True))
        if found == had:
            return had
        had = found


@pytest.mark.parametrize(("mean", "std", "best"), [(0.0, 1.0, 1.5), (2.0, 0.5, 2.1), (-3, 4, 2)])
def test_the_expected_gain_is_that_of_many_draws(mean: float, std: float, best: float) -> None:
    torch.manual_seed(0)
    draws = mean + std * torch.randn(1_000_000, dtype=torch.float64)
    assert expected_gain([row(mean, std, best)]) == pytest.approx(
        float((draws - best).clamp(min=0).mean()), rel=0.02
    )


@given(HEIGHTS, SPREADS, st.floats(0, 10), st.floats(0.01, 100))
def test_the_gain_falls_with_the_best_and_follows_the_rewards_scale(
    mean: float, std: float, above: float, scale: float
) -> None:
    here = expected_gain([row(mean, std, mean + above)])
    assert 0.0 <= here < math.inf
    assert expected_gain([row(mean, std, mean + above + 1.0)]) <= here
    scaled = expected_gain([row(scale * mean, scale * std, scale * (mean + above))])
    assert scaled == pytest.approx(scale * here, rel=1e-6, abs=1e-9 * scale)


def test_the_last_two_rounds_count_together() -> None:
    rows = [row(9.0, 9.0, 1.0), row(-1.0, 1.0, 1.0), row(1.0, 1.0, 3.0)]
    assert expected_gain(rows) == pytest.approx(expected_gain([row(0.0, math.sqrt(2), 3.0)]))


def test_who_promises_more_gets_more() -> None:
    one, many = [row(0.0, 1.0, 3.0)], [row(0.0, 1.0, 0.5)]
    found = grants([Standing(one, 6), Standing(many, 6), Standing([row(0, 1, 1.0)], 6)], 8)
    assert sum(found) == 4
    assert found[1] > found[2] > found[0] == 0


def test_among_equals_goes_first_who_has_had_less_and_then_who_stands_first() -> None:
    same = row(0.0, 1.0, 1.0)
    assert grants([Standing([same], 6), Standing([same], 6)], 1) == [1, 0]
    assert grants([Standing([same, same], 6), Standing([same], 6)], 1) == [0, 1]
    nearly = row(0.0, 1.0 + 1e-12, 1.0)  # the last bits of a reward in another batch
    assert grants([Standing([same], 6), Standing([nearly], 6)], 1) == [1, 0]


def test_what_can_gain_nothing_is_given_nothing() -> None:
    assert grants([Standing([row(1.0, 0.0, 1.0)], 6), Standing([row(0, 1, 1.0)], 1)], 9) == [0, 0]
    assert grants([Standing([row(0, 1, 1.0)], 6)], 0) == [0]
    assert allowances([], 9) == []


@given(CURVES, st.integers(0, 80), st.integers(1, 12))
def test_all_is_spent_and_no_more_and_everybody_has_its_first_rounds(
    curves: list[Curve], extra: int, most: int
) -> None:
    rounds = len(curves) + extra
    found = spent([curve(one) for one in curves], rounds, most)
    first = first_rounds(rounds, len(curves))
    assert first >= 1
    assert all(min(first, most) <= had <= most for had in found)
    assert sum(found) == min(rounds, most * len(curves))


@given(CURVES, st.integers(0, 60), st.integers(-6, 6))
def test_a_rewards_scale_changes_nothing(curves: list[Curve], extra: int, power: int) -> None:
    rounds = len(curves) + extra
    plain = spent([curve(one) for one in curves], rounds)
    assert spent([curve(one, scale=2.0**power) for one in curves], rounds) == plain


@given(CURVES, st.integers(0, 60), st.data())
def test_it_goes_on_from_any_rows_as_without_a_break(
    curves: list[Curve], extra: int, data: st.DataObject
) -> None:
    """Also where one prompt is waves ahead of another, and where some have ended."""
    rounds, rows = len(curves) + extra, [curve(one) for one in curves]
    whole = spent(rows, rounds)
    had = [data.draw(st.integers(0, most)) for most in whole]
    while True:
        found = allowances(
            [
                Standing(r[:k], 12, over=k == most)
                for r, k, most in zip(rows, had, whole, strict=True)
            ],
            rounds,
        )
        further = [max(old, new) for old, new in zip(had, found, strict=True)]
        if further == had:
            break
        had = further
    assert had == whole


def test_who_ends_early_hands_the_rest_on_and_keeps_its_first_rounds() -> None:
    rising = curve([(0.0, 1.0, 0.1)] * 20)
    still = Standing(rising[:6], 20)
    failed = Standing(rising[:1], 20, over=True)
    assert first_rounds(16, 2) == 6
    assert allowances([still, failed], 16)[0] == 8  # half of 16 - 6 - 6
    reached = Standing(rising[:1], 1)  # by a limit of its own
    assert allowances([still, reached], 16)[0] == 11  # half of 16 - 6 - 1
    away = Standing(rising[:1], 20, over=True, aside=8)
    assert allowances([still, away], 16)[0] == 7  # half of 16 - 6 - 8


def test_who_begins_anew_gets_its_first_rounds_and_what_the_others_left() -> None:
    rising = curve([(0.0, 1.0, 0.1)] * 20)
    for other, wanted in ((10, 6), (9, 7), (6, 7)):
        ended = Standing(rising[:other], 20, over=True)
        assert allowances([ended, Standing([], 20)], 16)[1] == 6
        assert allowances([ended, Standing(rising[:6], 20)], 16)[1] == wanted
