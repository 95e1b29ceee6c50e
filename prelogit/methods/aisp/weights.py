"""The weights of a round, and the lambda that gives them a wanted effective sample size.

    w_i = softmax_i( r_i/lambda - (1-alpha)/sigma^2 sum_t u_t.v_t^i )          (Eq. 18)

The second term is the log ratio of the proposal that a sample was drawn from to the prior, up to
a constant, relaxed by alpha. n samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from prelogit.core.errors import RewardAnswerError
from prelogit.search.temperature import lambda_for


def weights(
    rewards: Tensor, u_dot_v: Tensor, *, lambda_: float, alpha: float, sigma2: float
) -> Tensor:
    """Importance weights of one round.

    Args:    rewards: [n], finite; larger is better. u_dot_v: [n], sum over t <= tau of
             u_t . v_t. lambda_ > 0: in units of the reward. sigma2: of this round's noise.
    Returns: f64[n], sums to 1.
    Raises:  RewardAnswerError: a reward is not finite.
    Source:  arXiv 2510.26219, Eq. 18.
    """
    r = finite(torch.as_tensor(rewards, dtype=torch.float64))
    tilt = (1.0 - alpha) / sigma2 * torch.as_tensor(u_dot_v, dtype=torch.float64)
    # Only differences count: taking the best reward off first keeps r / lambda in range.
    return torch.softmax((r - r.max()) / lambda_ - tilt, dim=0)


def weights_or_even(
    rewards: Tensor, u_dot_v: Tensor, *, lambda_: float | None, alpha: float, sigma2: float
) -> Tensor:
    """``weights``; where no lambda could be chosen, all that have the best reward weigh the same.

    The reward told nothing apart then, and the prior's small say alone shall not steer.
    Shapes and errors as of ``weights``.
    """
    if lambda_ is not None:
        return weights(rewards, u_dot_v, lambda_=lambda_, alpha=alpha, sigma2=sigma2)
    r = finite(torch.as_tensor(rewards, dtype=torch.float64))
    best = (r == r.max()).double()
    return best / best.sum()


def finite(rewards: Tensor) -> Tensor:
    """The same rewards. Raises: RewardAnswerError: one of them is no finite number."""
    if not bool(torch.isfinite(rewards).all()):
        raise RewardAnswerError(
            "a reward is not a finite number, so no weights can be computed: check the reward"
        )
    return rewards


def lambda_with(
    ess: float, rewards: Tensor, u_dot_v: Tensor, *, alpha: float, sigma2: float
) -> float | None:
    """The lambda whose weights have this effective sample size.

    Returns: None when the rewards all tie: any lambda gives the same weights.
    """
    spread = float(rewards.max() - rewards.min())
    if spread == 0.0:
        return None

    def weigh(lambda_: float) -> Tensor:
        return weights(rewards, u_dot_v, lambda_=lambda_, alpha=alpha, sigma2=sigma2)

    return lambda_for(ess, spread, weigh)
