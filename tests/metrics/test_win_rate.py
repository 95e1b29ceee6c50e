"""Win rates: both orders must agree, what cannot be read is never a number."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.metrics.win_rate import BothOrders, outcome, wilson, win_rate

CHOICES = st.sampled_from(["first", "second", "tie", None])
PAIRS = st.lists(st.builds(BothOrders, CHOICES, CHOICES), max_size=40)
MIRROR: dict[Any, Any] = {"first": "second", "second": "first", "tie": "tie", None: None}


@pytest.mark.parametrize(
    ("forward", "backward", "found"),
    [
        ("first", "second", "win"),
        ("second", "first", "loss"),
        ("tie", "tie", "tie"),
        ("first", "first", "tie"),
        ("second", "second", "tie"),
        ("first", "tie", "tie"),
        ("tie", "first", "tie"),
        (None, "second", "unparsed"),
        ("tie", None, "unparsed"),
        (None, None, "unparsed"),
    ],
)
def test_only_two_orders_that_agree_decide(forward: Any, backward: Any, found: str) -> None:
    assert outcome(BothOrders(forward, backward)) == found


def test_the_numbers_of_a_few_pairs() -> None:
    win, loss = BothOrders("first", "second"), BothOrders("second", "first")
    split, unread = BothOrders("first", "first"), BothOrders(None, "second")
    found = win_rate([win, win, loss, split, unread])
    assert (found.pairs, found.wins, found.ties, found.losses, found.unparsed) == (5, 2, 1, 1, 1)
    assert found.split == 1
    assert found.win_rate == pytest.approx(2.5 / 4)
    # Worth 1, 1, 0, .5: squares around .625 sum to .6875.
    assert found.win_rate_se == pytest.approx(math.sqrt(0.6875 / 3 / 4))
    assert found.position_bias == pytest.approx(1 / 4)


def test_nothing_to_read_gives_no_number() -> None:
    for pairs in ([], [BothOrders(None, None)] * 3):
        found = win_rate(pairs)
        assert found.unparsed == len(pairs)
        assert (found.win_rate, found.win_rate_se, found.low, found.position_bias) == (None,) * 4
    alone = win_rate([BothOrders("first", "second")])
    assert (alone.win_rate, alone.win_rate_se) == (1.0, None)


def test_wilsons_interval_is_the_textbooks() -> None:
    low, high = wilson(0.5, 10)
    assert (low, high) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
    low, high = wilson(1.0, 10)
    assert (low, high) == (pytest.approx(0.7225, abs=1e-4), 1.0)


@given(PAIRS)
def test_every_pair_is_counted_once(pairs: list[BothOrders]) -> None:
    found = win_rate(pairs)
    assert found.wins + found.ties + found.losses + found.unparsed == found.pairs == len(pairs)
    assert found.split <= found.ties
    if found.win_rate is not None:
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.win_rate <= found.high <= 1


@given(PAIRS)
def test_the_other_side_sees_the_mirror_image(pairs: list[BothOrders]) -> None:
    """Their answers stand first where ours stood second, so the orders change places too."""
    ours = win_rate(pairs)
    theirs = win_rate([BothOrders(pair.backward, pair.forward) for pair in pairs])
    assert (ours.wins, ours.ties, ours.losses) == (theirs.losses, theirs.ties, theirs.wins)
    assert ours.unparsed == theirs.unparsed
    assert ours.position_bias == theirs.position_bias
    if ours.win_rate is not None:
        assert theirs.win_rate == pytest.approx(1 - ours.win_rate)
        assert theirs.low == pytest.approx(1 - (ours.high or 0.0))


@given(PAIRS)
def test_a_judge_of_the_other_place_has_the_opposite_bias(pairs: list[BothOrders]) -> None:
    found = win_rate(pairs)
    turned = win_rate([BothOrders(MIRROR[a], MIRROR[b]) for a, b in pairs])
    if found.position_bias is not None:
        assert turned.position_bias == -found.position_bias
    assert turned.split == found.split


@given(PAIRS, st.integers(1, 5), CHOICES)
def test_what_cannot_be_read_changes_only_its_own_count(
    pairs: list[BothOrders], more: int, other: Any
) -> None:
    found = win_rate(pairs)
    noisy = win_rate([*pairs, *[BothOrders(None, other)] * more])
    assert noisy == found._replace(pairs=found.pairs + more, unparsed=found.unparsed + more)


@given(st.integers(1, 30), st.sampled_from(["first", "second"]))
def test_a_judge_that_only_sees_places_says_nothing(count: int, place: Any) -> None:
    found = win_rate([BothOrders(place, place)] * count)
    assert (found.win_rate, found.split) == (0.5, count)
    assert found.position_bias == (1.0 if place == "first" else -1.0)
