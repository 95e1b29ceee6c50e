"""A window that moves along the answer while it is searched, as in model predictive control (MPPI).

With a horizon h below the tau controlled tokens, round k + 1 of kappa + 1 has noise at these alone:

    c_k < t <= c_k + h,      c_k = floor( k (tau - h) / kappa )

What lies before is frozen: there v_t is the very noise that the best sample so far was decoded with, so
every sample begins with its tokens. What lies after is decoded without noise, as the guess of what will
follow. The mean u_t keeps its place in the text, so in the window it is shifted along, and tokens that
come in have u_t = 0. From c_0 = 0 to c_kappa = tau - h the window passes over all tokens; where h is tau
it stands still, and this is the search without a horizon, to the bit.

Source: Williams et al., 2017, "Information theoretic MPC for model-based reinforcement learning"
(MPPI, Algorithm 2), where the first action of the mean is executed; an answer's tokens are not executed
but kept, so here it is the best sample that is.

Dimensions: tau = window of controlled tokens, d = width of the pre-logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.noise import path_normal
from prelogit.search.plan import NoiseKey, Shape
from prelogit.wire.params import AISP


class Best(NamedTuple):
    """The best sample so far, and the noise that it was decoded with."""

    reward: float
    noise: Tensor  # f32[tau, d], zeros outside of its round's window


def span(k: int, params: AISP, shape: Shape) -> slice:
    """The places (from 0) that have noise in the round after k others."""
    length = horizon(params, shape)
    first = k * (shape.window - length) // params.iterations
    return slice(first, first + length)


def horizon(params: AISP, shape: Shape) -> int:
    """h: how many tokens have noise at a time."""
    return min(params.horizon or shape.window, shape.window)


def updates(params: AISP, shape: Shape) -> float:
    """Of how many updates a token takes part, while the window passes over it: kappa h / (tau - h)."""
    length = horizon(params, shape)
    stride = max(length, shape.window - length)
    return max(1.0, params.iterations * length / stride)


def better(
    best: Best | None,
    rewards: Sequence[float],
    mean: Tensor,
    sigma: float,
    where: slice,
    key: NoiseKey,
) -> Best:
    """The best sample once a round has been told; of equals the first."""
    sample = max(range(len(rewards)), key=rewards.__getitem__)
    if best is not None and rewards[sample] <= best.reward:
        return best
    eps = path_normal(
        seed=key.seed,
        prompt=key.prompt,
        iteration=key.iteration,
        sample=sample,
        steps=where.stop,
        dim=mean.shape[1],
    )
    noise = torch.zeros_like(mean)
    # Two roundings, as the engine adds it: the same tokens come out.
    noise[where] = mean[where] + sigma * eps[where]
    return Best(rewards[sample], noise)
