"""Contenders take turns, and ratios are taken inside a round."""

from __future__ import annotations

import pytest

from benchmarks.rounds import Stopwatch, Timing, paired, play


def test_each_runs_once_a_round_and_none_always_after_the_same_other() -> None:
    order: list[str] = []
    names = ("a", "b", "c")
    play([lambda _, name=name: order.append(name) for name in names], 3)  # type: ignore[misc]
    rounds = [order[i : i + 3] for i in range(0, 9, 3)]
    assert all(sorted(one) == list(names) for one in rounds)
    assert [one[0] for one in rounds] == ["a", "b", "c"]


def test_a_ratio_is_that_of_the_rounds_not_that_of_the_medians() -> None:
    # The machine was ten times slower in the second round: for both.
    above = [Timing(2.0, 1.0), Timing(30.0, 10.0), Timing(3.0, 3.0)]
    below = [Timing(1.0, 1.0), Timing(10.0, 10.0), Timing(2.0, 1.0)]
    assert paired(above, below) == pytest.approx((2.0, 1.0))


def test_laps_are_kept_by_name_and_their_median_is_taken_clock_by_clock() -> None:
    watch = Stopwatch()
    for wall, cpu in ((3.0, 1.0), (1.0, 2.0), (2.0, 9.0)):
        watch.record("x", Timing(wall, cpu))
    with watch.lap("y"):
        sum(range(1000))
    assert watch.median("x") == Timing(2.0, 2.0)
    assert watch.laps["y"][0].wall > 0
