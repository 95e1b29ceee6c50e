"""The temperature at which weights have a wished effective sample size."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from prelogit.metrics.ess import effective_sample_size


def lambda_for(ess: float, spread: float, weigh: Callable[[float], Tensor]) -> float:
    """The lambda > 0 whose weights have this effective sample size.

    Bisection over log(lambda / spread): the answer follows the scale of the rewards.

    Args: ess: the target, in samples. spread: largest minus smallest reward, > 0.
          weigh: the weights at a lambda, f64[n]; their ESS grows with it.
    """
    low, high = -14.0, 14.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        small = effective_sample_size(weigh(math.exp(middle) * spread)) < ess
        low, high = (middle, high) if small else (low, middle)
    return math.exp(0.5 * (low + high)) * spread
