"""Rows are given out low, kept while their sample lives, and closed up for a smaller bucket."""

from __future__ import annotations

import gc
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.buckets import doubled, halfway
from prelogit.engine.graphs.seats import Moves, Seats
from prelogit.engine.prefix import Group, Prefix


def prompt(tokens: int = 5) -> Prefix:
    nothing: Any = None
    return Prefix(tuple(range(tokens)), torch.zeros(1, 4), (), nothing)


def end(seats: Seats, group: Group, rows: list[int]) -> None:
    """As the decoder's ``keep`` does it."""
    seats.keep(group, rows)
    group.keep(rows)


@given(st.integers(1, 5000), st.sampled_from([1, 8, 64]))
def test_buckets_hold_and_waste_little(size: int, least: int) -> None:
    assert size <= doubled(size, least) < max(2 * size, least + 1)
    assert size <= halfway(size, least) <= max(1.5 * size, least)


def test_rows_stay_while_their_sample_lives_and_are_given_away_after() -> None:
    one, two = Group(prompt(), range(3), 8), Group(prompt(), range(2), 8)
    seats = Seats()
    moves = seats.seat([one, two])
    assert [place for place, _ in moves.prompts] == [0, 1]
    assert seats.rows[one] == [0, 1, 2]
    assert seats.rows[two] == [3, 4]
    end(seats, one, [0, 2])
    three = Group(two.prefix, range(2), 8)
    assert seats.seat([one, two, three]) == Moves([], [], [])  # its prompt is there
    assert seats.rows[one] == [0, 2]
    assert seats.rows[three] == [1, 5]


def test_rows_and_prompts_close_up_when_a_smaller_bucket_does() -> None:
    groups = [Group(prompt(10 * i + 1), range(4), 8) for i in range(3)]
    seats = Seats()
    seats.seat(groups)
    assert seats.shape(groups)[:2] == (12, 4)
    end(seats, groups[0], [])
    left = groups[1:]
    moves = seats.seat(left)
    assert (moves.source, moves.target) == ([8, 9, 10, 11], [0, 1, 2, 3])
    assert moves.prompts == [(0, groups[2].prefix)]
    assert seats.rows[groups[2]] == [0, 1, 2, 3]
    assert seats.place(groups[2].prefix) == 0
    assert seats.shape(left)[:2] == (8, 2)


def test_a_group_that_is_forgotten_frees_its_rows() -> None:
    seats = Seats()
    lost = Group(prompt(), range(6), 8)
    seats.seat([lost])
    del lost
    gc.collect()
    new = Group(prompt(), range(2), 8)
    seats.seat([new])
    assert seats.rows[new] == [0, 1]
    assert seats.place(new.prefix) == 0


def test_the_suffix_bucket_follows_what_was_decoded_and_ends_at_what_may_be() -> None:
    group = Group(prompt(), range(2), 70)
    seats = Seats()
    seats.seat([group])
    found = []
    for group.decoded in (0, 31, 32, 64, 69):
        found.append(seats.shape([group]).suffix)
    assert found == [32, 32, 64, 96, 96]
    assert seats.need([group]).suffix == 96
