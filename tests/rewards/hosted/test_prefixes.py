"""Rows that begin alike are found by their tokens, and grouped so that the most is saved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prelogit.rewards.hosted.prefixes import MOST, Group, group_by_prefix

rows_of_few_tokens = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=7), max_size=9, unique_by=tuple
)


def saved(groups: list[Group]) -> int:
    return sum((len(group.places) - 1) * group.prefix for group in groups)


def best(rows: list[list[int]], worth: int) -> int:
    """The most that stretches of the sorted rows save, by trying all."""
    found = 0
    for end in range(1, len(rows) + 1):
        head = rows[0][:-1]
        while any(row[: len(head)] != head or len(row) == len(head) for row in rows[:end]):
            head = head[:-1]
        gain = (end - 1) * len(head)
        found = max(found, (gain if gain >= worth else 0) + best(rows[end:], worth))
    return found


@given(rows_of_few_tokens, st.integers(1, 12))
def test_groups_hold_every_row_once_and_save_the_most(rows: list[list[int]], worth: int) -> None:
    groups = group_by_prefix(rows, [len(row) - 1 for row in rows], worth=worth)
    assert sorted(place for group in groups for place in group.places) == list(range(len(rows)))
    for group in groups:
        begun = {tuple(rows[place][: group.prefix]) for place in group.places}
        assert len(begun) == 1
        assert all(group.prefix < len(rows[place]) for place in group.places)
        assert group.prefix == 0 or (len(group.places) - 1) * group.prefix >= worth
    assert sum(group.prefix == 0 for group in groups) <= 1
    assert saved(groups) == best(sorted(rows), worth)


def test_two_conversations_share_their_own_prompt_and_not_the_template_alone() -> None:
    template = list(range(20))
    first, second = [*template, *[50] * 80], [*template, *[60] * 90]
    rows = [[*second, 1], [*first, 1], [*second, 2], [*first, 2, 3], [*template, 7]]
    groups = group_by_prefix(rows, [len(row) - 1 for row in rows], worth=50)
    assert groups == [Group([1, 3], 100), Group([0, 2], 110), Group([4], 0)]


def test_what_a_row_keeps_for_itself_is_not_shared() -> None:
    rows = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6]]
    assert group_by_prefix(rows, [4, 2], worth=1) == [Group([0, 1], 2)]
    assert group_by_prefix(rows, [4, 0], worth=1) == [Group([0, 1], 0)]


def test_a_beginning_that_saves_too_little_is_read_with_its_rows() -> None:
    rows = [[*range(100), place] for place in range(200, 203)]
    assert group_by_prefix(rows, [100] * 3, worth=200) == [Group([0, 1, 2], 100)]
    assert group_by_prefix(rows, [100] * 3, worth=201) == [Group([0, 1, 2], 0)]


def test_more_rows_than_a_group_holds() -> None:
    rows = [[*range(10), place] for place in range(100, 100 + 2 * MOST + 3)]
    groups = group_by_prefix(rows, [10] * len(rows), worth=1)
    assert [group.prefix for group in groups] == [10, 10, 10]
    assert max(len(group.places) for group in groups) <= MOST
