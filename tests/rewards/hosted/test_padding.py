"""Batches hold every row once, and no more than they may."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.rewards.hosted.padding import batches, pad


@given(st.lists(st.integers(0, 50)), st.integers(1, 6), st.integers(1, 100))
def test_every_row_stands_in_one_batch_within_the_limits(
    lengths: list[int], rows: int, tokens: int
) -> None:
    made = list(batches(lengths, rows=rows, tokens=tokens))
    assert sorted(place for batch in made for place in batch) == list(range(len(lengths)))
    in_order = [lengths[place] for batch in made for place in batch]
    assert in_order == sorted(lengths)
    for batch in made:
        assert 1 <= len(batch) <= rows
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or longest * len(batch) <= tokens


def test_padding_stands_on_the_right_and_is_masked() -> None:
    ids, mask = pad([[5, 6, 7], [8]], 0, torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
