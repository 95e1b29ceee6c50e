"""A reward's answer is as many finite numbers as were asked for, or an error that says where."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.errors import RewardAnswerError
from prelogit.rewards.protocol import check

finite_floats = st.floats(allow_nan=False, allow_infinity=False)
numbers = finite_floats | st.integers(-(2**53), 2**53)
nonsense = st.sampled_from(
    [float("nan"), float("inf"), float("-inf"), True, False, None, "1.0", "", b"1", [1.0], {}, 1j]
) | st.integers(min_value=10**400, max_value=10**401)


@given(st.lists(numbers, min_size=1))
def test_finite_numbers_pass_to_the_bit_and_in_order(values: list[float]) -> None:
    checked = check(values, len(values))
    assert checked.dtype == torch.float64
    assert checked.tolist() == [float(value) for value in values]


@given(st.lists(finite_floats, min_size=1))
def test_finite_numbers_survive_json(values: list[float]) -> None:
    assert check(json.loads(json.dumps(values)), len(values)).tolist() == values


@given(st.lists(numbers, max_size=8), nonsense, st.data())
def test_one_bad_value_refuses_all_and_is_named(
    values: list[Any], bad: object, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(values)))
    values.insert(place, bad)
    with pytest.raises(RewardAnswerError, match=f"response {place} is"):
        check(values, len(values))


@given(st.lists(numbers, max_size=8), st.integers(0, 10))
def test_another_count_is_refused_with_both_counts(values: list[float], count: int) -> None:
    if len(values) == count:
        assert check(values, count).shape == (count,)
        return
    with pytest.raises(RewardAnswerError, match=f"{len(values)} rewards came back for {count}"):
        check(values, count)


@pytest.mark.parametrize("answer", [None, "123", b"123", 1.0, {"scores": [1.0]}, {1.0}, object()])
def test_what_is_no_list_is_refused_by_its_type(answer: object) -> None:
    with pytest.raises(RewardAnswerError, match=type(answer).__name__):
        check(answer, 3)


@pytest.mark.parametrize(
    "answer",
    [
        torch.tensor([1.0, 2.0]),
        torch.tensor([1.0, 2.0], requires_grad=True),
        torch.tensor([1, 2], dtype=torch.int32),
        np.array([1.0, 2.0], dtype=np.float16),
        [np.float32(1.0), np.int64(2)],
        [torch.tensor(1.0), np.array(2.0)],
        (1, Fraction(2)),
    ],
)
def test_arrays_and_tensors_are_numbers_too(answer: object) -> None:
    assert check(answer, 2).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "answer",
    [
        torch.tensor([1.0, float("nan")]),
        torch.tensor([True, True]),
        np.array([1.0, np.inf]),
        [1.0, np.bool_(True)],
        [1.0, torch.tensor(True)],
        torch.ones(2, 1),
        [1.0, Decimal("NaN")],
    ],
)
def test_arrays_and_tensors_get_no_lighter_check(answer: object) -> None:
    with pytest.raises(RewardAnswerError):
        check(answer, 2)
