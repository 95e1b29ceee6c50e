"""What best of m would have found, for every m up to the N samples that were drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

from prelogit.core.errors import InputError


def expected_best(rewards: Sequence[float], m: int) -> float:
    """The mean of the best reward over all ways to pick m of the N samples.

    Unbiased for the expected best of m independent samples, so that one run of best of N
    tells the whole curve. With the rewards sorted upwards, r_(i) is the best of a pick in
    C(i-1, m-1) of C(N, m) cases.

    Args:    rewards: N, of independent samples of one distribution; m: 1 to N.
    Returns: between the mean (m = 1) and the maximum (m = N).
    Raises:  InputError: m is not within 1 to N, or a reward is not finite.
    Source:  the order statistics of sampling without replacement; as pass@k is estimated in
             arXiv 2107.03374, section 2.1.
    """
    ranked = sorted(finite_rewards(rewards))
    n = len(ranked)
    if not 1 <= m <= n:
        raise InputError(f"the best of {m} cannot be estimated from {n} samples: give 1 to {n}")
    # Written as a sum of gaps below the maximum, so that equal rewards give that very number.
    share, below = m / n, 0.0  # share = C(i-1, m-1) / C(n, m), from i = n downwards
    for i in range(n, m - 1, -1):
        below += share * (ranked[-1] - ranked[i - 1])
        share *= (i - m) / (i - 1) if i > 1 else 0.0
    return ranked[-1] - below


def best_of_first(rewards: Sequence[float], counts: Sequence[int]) -> list[float]:
    """The best of the first m samples as they were drawn, for each m of ``counts``.

    Raises: InputError: a count is not within 1 to N, or a reward is not finite.
    Source: the best-of-n curves of arXiv 2510.26219, Fig. 3: counts n, 2n, 3n, ….
    """
    found: list[float] = []
    best = -math.inf
    for reward in finite_rewards(rewards):
        best = max(best, reward)
        found.append(best)
    for m in counts:
        if not 1 <= m <= len(found):
            raise InputError(
                f"the best of the first {m} is not known from {len(found)} samples: "
                f"give 1 to {len(found)}"
            )
    return [found[m - 1] for m in counts]


def finite_rewards(rewards: Sequence[float]) -> list[float]:
    """
    Raises: InputError: names the first that is not finite; it would poison every mean.
    """
    values = [float(reward) for reward in rewards]
    for place, value in enumerate(values):
        if not math.isfinite(value):
            raise InputError(f"the reward of sample {place} is {value}: rewards must be finite")
    return values
