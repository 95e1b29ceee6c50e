"""Differences to a reference, paired and at equal cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from prelogit.core.errors import InputError
from prelogit.evaluation.arms import arm_of
from prelogit.evaluation.estimate import Estimate
from prelogit.evaluation.results import margin, references_of
from tests.evaluation.made import arm_named, results_of

AISP = "aisp:n=2,iterations=1"
REWARDS = {
    AISP: {"a": [[1.0, 2.0], [3.0, 2.0]], "b": [[5.0, 1.0], [0.0, 9.0]]},
    "bon:n=4": {"a": [[2.0, 1.0, 2.5, 0.0]], "b": [[7.0, 7.0, 7.0, 7.0]]},
    "bon:n=8": {"a": [[0.0, 0.0, 0.0, 0.0, 4.0, 4.0, 4.0, 4.0]], "b": [[1.0] * 8]},
}


def test_the_difference_is_paired_by_prompt(tmp_path: Path) -> None:
    results = results_of(tmp_path, REWARDS)
    found = margin(results, arm_named(results, AISP), arm_named(results, "bon:n=4"))
    assert found == Estimate(pytest.approx(1.25), pytest.approx(0.75), 2)  # 0.5 and 2.0


def test_of_more_samples_as_many_count_as_the_method_has_drawn(tmp_path: Path) -> None:
    results = results_of(tmp_path, REWARDS)
    found = margin(results, arm_named(results, AISP), arm_named(results, "bon:n=8"))
    assert found is not None
    # The best of 4 of "a" is 4 unless all four are zeros, in 1 of 70 ways to pick them.
    assert found.mean == pytest.approx((3.0 - 4.0 * 69 / 70 + 9.0 - 1.0) / 2)


def test_cost_may_be_seconds(tmp_path: Path) -> None:
    """The method takes two rounds of a second, best of n one: all of its samples count."""
    results = results_of(tmp_path, REWARDS, cost="seconds")
    found = margin(results, arm_named(results, AISP), arm_named(results, "bon:n=8"))
    assert found is not None
    assert found.mean == pytest.approx((3.0 - 4.0 + 9.0 - 1.0) / 2)


def test_a_prompt_that_one_side_lacks_is_left_out(tmp_path: Path) -> None:
    rewards = {AISP: REWARDS[AISP], "bon:n=4": {"a": REWARDS["bon:n=4"]["a"]}}
    results = results_of(tmp_path, rewards)
    found = margin(results, arm_named(results, AISP), arm_named(results, "bon:n=4"))
    assert found == Estimate(0.5, None, 1)


def test_references_are_those_of_the_labels_else_every_best_of_n() -> None:
    arms = [arm_of(text) for text in ("aisp", "bon", "bon:gaussian", "aisp:n=4")]
    assert references_of(arms, ()) == arms[1:3]
    assert references_of(arms, ["aisp:n=4"]) == [arms[3]]
    with pytest.raises(InputError, match="'aips' is none of"):
        references_of(arms, ["aips"])
