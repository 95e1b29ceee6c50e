"""Which rows of a call begin alike for long enough that their beginning is read once. Torch-free.

Rows are compared token by token: texts that begin alike may be cut into tokens differently where
prompt and response meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

MOST = 256  # rows of a group
WORTH = 256  # tokens that a group must save: its beginning takes a forward pass of its own


class Group(NamedTuple):
    """Rows that begin with the same ``prefix`` tokens. A prefix of 0: they share nothing."""

    places: list[int]
    prefix: int


def group_by_prefix(
    rows: Sequence[list[int]], own: Sequence[int], *, worth: int = WORTH
) -> list[Group]:
    """Stretches of the sorted rows that save the most tokens, and one group of the other rows.

    Args: rows: none of them twice. own: of each row, how many of its first tokens may be shared
          at most; less than its length, because something must be left to score.
    """
    order = sorted(range(len(rows)), key=rows.__getitem__)
    alike = [
        min(_common(rows[left], rows[right]), own[left], own[right])
        for left, right in pairwise(order)
    ]
    groups = []
    alone: list[int] = []
    for first, end in _cut(alike, len(order), worth):
        places = order[first:end]
        if len(places) == 1:
            alone += places
        else:
            groups.append(Group(sorted(places), min(alike[first : end - 1])))
    return [*groups, Group(sorted(alone), 0)] if alone else groups


def _cut(alike: Sequence[int], count: int, worth: int) -> list[tuple[int, int]]:
    """Stretches of the sorted rows that save most in sum: (rows - 1) x common tokens each.

    Args: alike: common tokens of each row and the next one.
    """
    saved = [0] * (count + 1)  # at best, by the first rows
    begins = list(range(-1, count))  # the last stretch of that
    for end in range(1, count + 1):
        saved[end] = saved[end - 1]
        common = None
        for first in range(end - 2, max(end - MOST, 0) - 1, -1):
            common = alike[first] if common is None else min(common, alike[first])
            if common == 0:
                break
            gain = (end - first - 1) * common
            if gain >= worth and saved[first] + gain > saved[end]:
                saved[end], begins[end] = saved[first] + gain, first
    stretches = []
    end = count
    while end:
        stretches.append((begins[end], end))
        end = begins[end]
    return stretches[::-1]


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two rows begin with alike."""
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
    )
