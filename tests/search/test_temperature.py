"""The temperature at which weights have the wished effective sample size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from prelogit.metrics.ess import effective_sample_size
from prelogit.search.temperature import lambda_for

# Gaps are not tiny beside the spread: the search for the temperature ends at a millionth of it.
rewards = st.lists(st.integers(-1000, 1000).map(float), min_size=2, max_size=30)


@given(rewards, st.floats(0.05, 0.95))
def test_the_weights_have_that_ess_where_they_can(values: list[float], share: float) -> None:
    r = torch.tensor(values, dtype=torch.float64)
    spread = float(r.max() - r.min())
    assume(spread > 1e-6)

    def weigh(lambda_: float) -> torch.Tensor:
        return torch.softmax((r - r.max()) / lambda_, dim=0)

    ties = int((r == r.max()).sum())  # no temperature has fewer than these
    assume(share * len(r) > ties + 0.01)
    found = lambda_for(share * len(r), spread, weigh)
    assert effective_sample_size(weigh(found)) == pytest.approx(share * len(r), rel=1e-4)


def test_it_follows_the_scale_of_the_rewards() -> None:
    r = torch.tensor([0.0, 1.0, 5.0, 5.5], dtype=torch.float64)
    found = [
        lambda_for(2.0, 5.5 * s, lambda it, s=s: torch.softmax(r * s / it, dim=0))  # type: ignore[misc]
        for s in (1.0, 100.0)
    ]
    assert found[1] == pytest.approx(100 * found[0], rel=1e-9)
