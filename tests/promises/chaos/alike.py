"""Whether rounds are those that nothing disturbed, as far as they can depend on nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from prelogit.core.records import Iteration

Likeness = Literal["same", "rounded", "other"]

# Differs with where and in which company a round was computed; all else must not.
_OF_THE_WAY = {"seconds", "reward_calls", "reward_tokens"}
# Sums over all logits: their last digits are the batch's.
_SUMMED = ("sigma2", "kl_token_sampled", "kl_token_exact")
# A text's prior is such a sum, rounded to three digits: once in thousands of texts it lies where
# the last bits decide how. That changes it by 0.001, and what follows from it by as little.
_PRIOR = {"log_prior", "kl_gaussian"}
_OF_PRIORS = {"weight", "weights", "ess", "lambda_"}
_STEP = 0.0011
_LITTLE = 0.01


def likeness(rows: Sequence[Iteration], others: Sequence[Iteration]) -> Likeness:
    """``rounded``: the same texts and rewards, and priors that were rounded the other way."""
    if len(rows) != len(others):
        return "other"
    found: Likeness = "same"
    for row, other in zip(rows, others, strict=True):
        one, two = (each.model_dump(exclude=_OF_THE_WAY) for each in (row, other))
        sums = [(one.pop(name), two.pop(name)) for name in _SUMMED]
        if any(not _close(*pair) for pair in sums):
            return "other"
        if one != two:
            if not _nearly(one, two):
                return "other"
            found = "rounded"
    return found


def _close(one: float | None, two: float | None) -> bool:
    if one is None or two is None:
        return one is two
    return math.isclose(one, two, rel_tol=1e-5, abs_tol=1e-6)


def _nearly(one: Any, two: Any, name: str = "") -> bool:
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(_nearly(one[key], two[key], key) for key in one)
    if isinstance(one, tuple | list) and isinstance(two, tuple | list):
        return len(one) == len(two) and all(
            _nearly(*pair, name) for pair in zip(one, two, strict=True)
        )
    if isinstance(one, float) and isinstance(two, float):
        if name in _PRIOR:
            return math.isclose(one, two, rel_tol=0, abs_tol=_STEP)
        if name in _OF_PRIORS:
            return math.isclose(one, two, rel_tol=_LITTLE)
    return bool(one == two)
