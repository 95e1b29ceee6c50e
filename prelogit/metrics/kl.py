"""Closed KL of a Gaussian proposal over pre-logits from its prior."""

from __future__ import annotations

import math

from torch import Tensor


def squared_norm(mean: Tensor) -> float:
    """|U|^2 in float64, the same bits for any number of threads.

    Rows are reduced one by one and their sums added exactly: a reduction over the whole
    tensor would depend on how it is cut among threads.
    """
    return math.fsum(mean.double().square().sum(dim=-1).tolist())


def gaussian_kl(mean: Tensor, sigma2: float, prior_sigma2: float) -> float:
    """KL(N(U, sigma2 I) || N(0, prior_sigma2 I)) in nats, summed over all steps.

    Args:    mean: f32[tau, d], U.
    Source:  arXiv 2510.26219, section 3 (sigma2 equal to the prior's: |U|^2 / (2 sigma2)).
    """
    share = sigma2 / prior_sigma2
    spread = mean.numel() * (share - 1.0 - math.log(share))
    return 0.5 * (spread + squared_norm(mean) / prior_sigma2)
