"""Negative log-likelihood of given tokens."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.metrics.nll import mean_nll, token_nll


def test_the_numbers_of_a_small_vocabulary() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [math.log(3.0), 0.0, -torch.inf, -torch.inf]])
    found = token_nll(logits, torch.tensor([2, 1]))
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([math.log(4), math.log(4)])
    assert mean_nll(found) == pytest.approx(math.log(4))


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=9), st.floats(-100, 100), st.data())
def test_chances_sum_to_one_and_a_common_shift_means_nothing(
    row: list[float], shift: float, data: st.DataObject
) -> None:
    logits = torch.tensor(row).expand(len(row), -1)
    every = torch.arange(len(row))
    found = token_nll(logits, every)
    assert float((-found).exp().sum()) == pytest.approx(1, rel=1e-4)
    assert token_nll(logits + shift, every).tolist() == pytest.approx(found.tolist(), abs=1e-3)
    assert (found >= 0).all()


def test_half_precision_is_summed_in_float32() -> None:
    """The softmax of 1000 equal logits: half precision would say 6.906 for log(1000) = 6.9078."""
    found = token_nll(torch.zeros(1, 1000, dtype=torch.bfloat16), torch.tensor([0]))
    assert float(found) == pytest.approx(math.log(1000), abs=1e-5)


@pytest.mark.parametrize("values", [[], [1.0, math.inf], [math.nan]])
def test_no_token_or_no_number_is_none(values: list[float]) -> None:
    assert mean_nll(torch.tensor(values, dtype=torch.float64)) is None
