from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.metrics.coherence import coherence

vectors = st.lists(st.floats(-100, 100), min_size=3, max_size=3).filter(
    lambda values: math.hypot(*values) > 1e-3
)


@given(vectors, vectors, st.floats(0.01, 100))
def test_it_is_a_cosine(left: list[float], right: list[float], scale: float) -> None:
    a, b = torch.tensor(left).double(), torch.tensor(right).double()
    found = coherence(a, b)
    assert found is not None
    assert -1 <= found <= 1
    assert coherence(b, a) == pytest.approx(found)
    assert coherence(scale * a, b) == pytest.approx(found)
    assert coherence(-a, b) == pytest.approx(-found)
    assert coherence(a, a) == pytest.approx(1)


def test_directions_at_right_angles_have_none() -> None:
    assert coherence(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])) == 0


@pytest.mark.parametrize("bad", [[0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_what_has_no_direction_has_no_coherence(bad: list[float]) -> None:
    assert coherence(torch.tensor(bad), torch.tensor([1.0, 1.0])) is None
