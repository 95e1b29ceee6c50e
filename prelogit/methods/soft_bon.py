"""Soft best of n: of n independent samples the answer is drawn, by its reward.

    w_i = softmax_i( r_i / lambda ),   P(answer = i) = w_i

It is best of n with lambda going to 0 and plain sampling with lambda going to infinity. Where n
grows it draws from the optimum of E[r] - lambda KL(Q || P), the model P tilted by exp(r / lambda);
best of n goes on past it, and over-optimises a reward that is only nearly right.

Source: Verdun, Oesterling, Lakkaraju and Calmon, 2025, "Soft Best-of-n Sampling for Model
Alignment", arXiv 2505.03156.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prelogit.core.errors import RewardAnswerError
from prelogit.core.records import Iteration
from prelogit.metrics.ess import effective_sample_size
from prelogit.noise import rows_of, uniform_rows
from prelogit.search import one_round
from prelogit.search.one_round import OneRoundState
from prelogit.search.plan import Info, Method, Rollouts, Shape
from prelogit.search.temperature import lambda_for
from prelogit.wire.params import SoftBestOfN

ESS_SHARE = 0.3  # lambda "auto" aims at an effective sample size of 0.3 n, as AISP's does


def tell(
    state: OneRoundState, rollouts: Rollouts, rewards: Tensor, params: SoftBestOfN
) -> tuple[OneRoundState, Info]:
    """Draw the answer among the samples."""
    lambda_ = choose_lambda(rewards, params)
    w = weights(rewards, 1.0 if lambda_ is None else lambda_)
    info = Info(
        weights=tuple(w.tolist()),
        ess=effective_sample_size(w),
        lambda_=lambda_,
        sigma2=one_round.noise_of(state, params),
        chosen=drawn(w, state.shape),
        final=True,
    )
    return one_round.told(state), info


def weights(rewards: Tensor, lambda_: float) -> Tensor:
    """Each sample's probability of being the answer.

    Args:    rewards: [n], finite. lambda_ > 0: in units of the reward.
    Returns: f64[n], sums to 1.
    Raises:  RewardAnswerError: a reward is not finite.
    Source:  arXiv 2505.03156.
    """
    r = torch.as_tensor(rewards, dtype=torch.float64)
    if not bool(torch.isfinite(r).all()):
        raise RewardAnswerError(
            "a reward is not a finite number, so no answer can be drawn: check the reward"
        )
    # Only differences count: taking the best reward off first keeps r / lambda in range.
    return torch.softmax((r - r.max()) / lambda_, dim=0)


def choose_lambda(rewards: Tensor, params: SoftBestOfN) -> float | None:
    """The given lambda; for "auto" the one whose weights have an ESS of 0.3 n.

    Returns: None when "auto" meets rewards that all tie: any lambda gives the same weights.
    """
    if params.lambda_ != "auto":
        return float(params.lambda_)
    spread = float(rewards.max() - rewards.min())
    if spread == 0.0:
        return None
    return lambda_for(ESS_SHARE * len(rewards), spread, lambda it: weights(rewards, it))


def drawn(w: Tensor, shape: Shape) -> int:
    """The sample that is the answer: the same for the same seed, prompt and weights.

    Args: w: f64[n], non-negative, of any positive sum.
    """
    # Steps of decoding count from 1, so the noise of step 0 is free.
    zero = torch.zeros(1, dtype=torch.long)
    rows = rows_of(seed=shape.seed, prompt=shape.prompt, iteration=1, sample=zero, step=zero)
    total = w.cumsum(dim=0)
    # A sample of weight 0 has its neighbour's total and is never the first above the point.
    return int(torch.searchsorted(total, uniform_rows(rows) * total[-1], right=True))


def warn(rows: Sequence[Iteration], params: SoftBestOfN, shape: Shape) -> tuple[str, ...]:
    """Where all rewards tie, the reward had no say."""
    if any(len(row.rewards) > 1 and len(set(row.rewards)) == 1 for row in rows):
        return ("all rewards tied: the answer was drawn with equal weights",)
    return ()


METHOD = Method(
    SoftBestOfN,
    one_round.init,
    one_round.drawn,
    tell,
    one_round.restore,
    one_round.no_target,
    warn,
)
