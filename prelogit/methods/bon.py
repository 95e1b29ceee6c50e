"""Best of n: n independent samples, the best is the answer.

Two forms: nucleus sampling (temperature, then top-p; the stronger baseline), or Gaussian noise
N(0, sigma2 I) on the pre-logits with greedy decoding, which is AISP's first round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.core.records import Iteration
from prelogit.search.plan import (
    Gaussian,
    Greedy,
    Info,
    Method,
    NoiseKey,
    Plan,
    Rollouts,
    Shape,
    TopP,
)
from prelogit.wire.params import BestOfN


class BonState(NamedTuple):
    """Whether the one round has been told."""

    k: int
    shape: Shape


def init(params: BestOfN, shape: Shape) -> BonState:
    """Nothing drawn yet."""
    return BonState(0, shape)


def ask(state: BonState, params: BestOfN) -> Plan | None:
    """All n samples in one round."""
    if state.k >= params.rounds:
        return None
    shape = state.shape
    key = NoiseKey(shape.seed, shape.prompt, 1)
    if params.noise == "gaussian":
        control = Gaussian(torch.zeros(shape.window, shape.dim), math.sqrt(params.sigma2), key)
        return Plan(params.samples, control, Greedy(), shape.max_new_tokens)
    pick = TopP(params.temperature, params.top_p, key)
    return Plan(params.samples, None, pick, shape.max_new_tokens)


def tell(
    state: BonState, rollouts: Rollouts, rewards: Tensor, params: BestOfN
) -> tuple[BonState, Info]:
    """Nothing is learned: every sample weighs the same."""
    n = len(rewards)
    info = Info(
        weights=(1.0 / n,) * n,
        ess=float(n),
        sigma2=params.sigma2 if params.noise == "gaussian" else None,
        final=True,
    )
    return state._replace(k=state.k + 1), info


def restore(rows: Sequence[Iteration], params: BestOfN, shape: Shape) -> BonState:
    """The state after the given rounds."""
    return BonState(len(rows), shape)


def target(state: BonState, params: BestOfN) -> Plan | None:
    """Best of n has no per-token distribution of its own."""
    return None


def warn(rows: Sequence[Iteration], params: BestOfN, shape: Shape) -> tuple[str, ...]:
    """Nothing to say."""
    return ()


METHOD = Method(BestOfN, init, ask, tell, restore, target, warn)
