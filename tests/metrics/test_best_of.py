from __future__ import annotations

import math
from itertools import combinations, pairwise
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.errors import InputError
from prelogit.metrics.best_of import best_of_first, expected_best

rewards = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8), st.data())
def test_it_is_the_mean_over_all_picks(values: list[float], data: st.DataObject) -> None:
    m = data.draw(st.integers(1, len(values)))
    want = mean(max(pick) for pick in combinations(values, m))
    assert expected_best(values, m) == pytest.approx(want, abs=1e-9)


@given(rewards)
def test_from_the_mean_to_the_maximum_and_never_down(values: list[float]) -> None:
    curve = [expected_best(values, m) for m in range(1, len(values) + 1)]
    scale = 1e-9 * (1 + max(map(abs, values)))
    assert curve[0] == pytest.approx(math.fsum(values) / len(values), abs=scale)
    assert curve[-1] == max(values)
    assert all(b >= a - scale for a, b in pairwise(curve))


@given(rewards, st.data())
def test_the_order_of_the_samples_does_not_matter(values: list[float], data: st.DataObject) -> None:
    m = data.draw(st.integers(1, len(values)))
    shuffled = data.draw(st.permutations(values))
    assert expected_best(shuffled, m) == expected_best(values, m)


@given(rewards, st.floats(-1e3, 1e3), st.floats(0.01, 100), st.data())
def test_a_shifted_and_stretched_reward_gives_a_shifted_and_stretched_curve(
    values: list[float], shift: float, scale: float, data: st.DataObject
) -> None:
    m = data.draw(st.integers(1, len(values)))
    want = scale * expected_best(values, m) + shift
    got = expected_best([scale * value + shift for value in values], m)
    assert got == pytest.approx(want, rel=1e-9, abs=1e-6 * scale)


@given(st.floats(-1e300, 1e300), st.integers(1, 2000), st.data())
def test_rewards_that_tie_give_that_reward(value: float, count: int, data: st.DataObject) -> None:
    m = data.draw(st.integers(1, count))
    assert expected_best([value] * count, m) == value


@given(st.integers(1, 3000), st.data())
def test_whole_numbers_have_a_closed_form(n: int, data: st.DataObject) -> None:
    """The expected maximum of m of the numbers 1 to n is m (n + 1) / (m + 1)."""
    m = data.draw(st.integers(1, n))
    got = expected_best(list(range(1, n + 1)), m)
    assert got == pytest.approx(m * (n + 1) / (m + 1), rel=1e-10)


@pytest.mark.parametrize(("count", "m"), [(0, 1), (3, 0), (3, 4), (0, 0)])
def test_no_number_beyond_what_was_drawn(count: int, m: int) -> None:
    with pytest.raises(InputError, match=f"from {count} samples"):
        expected_best([1.0] * count, m)
    with pytest.raises(InputError, match=f"from {count} samples"):
        best_of_first([1.0] * count, [m])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_not_finite_is_refused_by_name(bad: float) -> None:
    with pytest.raises(InputError, match="sample 1"):
        expected_best([0.0, bad], 1)
    with pytest.raises(InputError, match="sample 0"):
        best_of_first([bad] * 4, [1])


@given(rewards)
def test_the_best_of_the_first_is_a_running_maximum(values: list[float]) -> None:
    counts = list(range(1, len(values) + 1))
    assert best_of_first(values, counts) == [max(values[:m]) for m in counts]
    assert best_of_first(values, []) == []
