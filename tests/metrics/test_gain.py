from __future__ import annotations

import pytest

from prelogit.core.records import Result, Seconds
from prelogit.metrics.gain import reward_per_second, reward_per_token


def test_reward_for_what_was_spent_and_above_what_comes_for_nothing() -> None:
    result = Result(
        prompt_id="p", reward=6.0, generated_tokens=200, seconds=Seconds(decode=3, reward=1, wait=9)
    )
    assert reward_per_token(result) == pytest.approx(0.03)
    assert reward_per_token(result, above=5.0) == pytest.approx(0.005)
    assert reward_per_second(result) == pytest.approx(1.5)
    assert reward_per_second(result, above=8.0) == pytest.approx(-0.5)


@pytest.mark.parametrize(
    "result",
    [
        Result(prompt_id="p", reward=None, generated_tokens=5, seconds=Seconds(decode=1)),
        Result(prompt_id="p", reward=1.0),
    ],
)
def test_what_cannot_be_divided_is_not_a_number(result: Result) -> None:
    assert reward_per_token(result) is None
    assert reward_per_second(result) is None
