"""What methods of a single round share: n samples of the model, and a state that counts to one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from prelogit.core.records import Iteration
from prelogit.search.plan import Gaussian, Greedy, Info, NoiseKey, Plan, Shape, TopP
from prelogit.search.variance import variance_of
from prelogit.wire.params import CollectStates, Drawn, Sample


class OneRoundState(NamedTuple):
    """Whether the one round has been told."""

    k: int
    shape: Shape


def init(params: Any, shape: Shape) -> OneRoundState:
    """Nothing drawn yet."""
    return OneRoundState(0, shape)


def sampled(state: OneRoundState, params: Drawn | Sample | CollectStates) -> Plan | None:
    """All samples at once, by temperature and top-p. All methods draw the same ones from a seed."""
    if state.k >= params.rounds:
        return None
    shape = state.shape
    pick = TopP(params.temperature, params.top_p, NoiseKey(shape.seed, shape.prompt, 1))
    return Plan(params.samples, None, pick, shape.max_new_tokens)


def drawn(state: OneRoundState, params: Drawn) -> Plan | None:
    """All samples at once, by top-p or by Gaussian noise on the pre-logits."""
    plan = sampled(state, params)
    if plan is None or params.noise is None:
        return plan
    shape = state.shape
    key = NoiseKey(shape.seed, shape.prompt, 1)
    mean = torch.zeros(shape.window, shape.dim)
    sigma = math.sqrt(variance_of(params.sigma2, shape))
    return plan._replace(control=Gaussian(mean, sigma, key), pick=Greedy())


def told(state: OneRoundState) -> OneRoundState:
    """After the round."""
    return state._replace(k=state.k + 1)


def alike(n: int, *, sigma2: float | None = None, chosen: int | None = None) -> Info:
    """Every sample weighs the same: nothing is learned from the rewards."""
    return Info((1.0 / n,) * n, ess=float(n), sigma2=sigma2, chosen=chosen, final=True)


def noise_of(state: OneRoundState, params: Drawn) -> float | None:
    """Variance of the Gaussian noise; None where tokens are drawn."""
    return variance_of(params.sigma2, state.shape) if params.noise == "gaussian" else None


def restore(rows: Sequence[Iteration], params: Any, shape: Shape) -> OneRoundState:
    """The state after the given rounds."""
    return OneRoundState(len(rows), shape)


def no_target(state: OneRoundState, params: Any) -> Plan | None:
    """The model is not changed, so there is no KL to measure along a draw."""
    return None


def no_warning(rows: Sequence[Iteration], params: Any, shape: Shape) -> tuple[str, ...]:
    """Nothing to say."""
    return ()
