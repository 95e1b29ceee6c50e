"""Means and their standard errors over prompts."""

from __future__ import annotations

import pytest

from prelogit.evaluation.estimate import Estimate, estimate


def test_the_error_is_that_over_prompts_and_seeds_are_averaged_first() -> None:
    found = estimate([("a", 1.0), ("a", 3.0), ("b", 4.0), ("b", 4.0), ("c", None)])
    assert found == Estimate(3.0, pytest.approx(1.0), 2)
    assert str(found) == "3.000 ± 1.000"


def test_a_single_prompt_has_no_error_and_nothing_has_no_mean() -> None:
    assert estimate([("a", 1.0), ("a", 3.0)]) == Estimate(2.0, None, 1)
    assert str(estimate([("a", 2.0)])) == "2.000"
    assert estimate([("a", None)]) is None
