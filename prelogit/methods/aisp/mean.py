"""AISP as published: one mean U moves towards the noise that was rewarded (arXiv 2510.26219).

    u_t <- 0                                             for t = 1..tau
    for k = 1..kappa:
        v_t^i ~ N(u_t, sigma^2 I)                        n samples; decoded greedily with z_t + v_t^i
        w_i  = softmax_i(r_i/lambda - (1-alpha)/sigma^2 sum_t u_t.v_t^i)          (Eq. 18)
        u_t <- sum_i w_i v_t^i                                                    (Eq. 14)
    n more samples from the final U; the best of all is the answer

``variance="fixed"`` is this, to the letter. Each of its updates adds about sigma^2/ESS of
variance to every coordinate of U, so that the noise grows and the text decays.
``variance="preserve"`` (the default) keeps one budget sigma_0^2 of which U holds one share and
the noise the rest, as preconditioned Crank-Nicolson keeps its prior:

    b = min(1, sqrt(ESS (1 - f^(1/kappa))))              f: share left to the noise at the end
    u_t <- (1-b) u_t + b sum_i w_i v_t^i                 then mean(u^2) is held to 0.98 sigma_0^2
    sigma^2 <- sigma_0^2 - mean(u^2)

Dimensions: n samples, tau = window, d = width of the pre-logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from prelogit.core.errors import InputError
from prelogit.core.records import Iteration, Trace
from prelogit.methods.aisp.horizon import Best, better, horizon, span, updates
from prelogit.methods.aisp.weights import lambda_with, weights_or_even
from prelogit.metrics.ess import effective_sample_size
from prelogit.metrics.kl import gaussian_kl, squared_norm
from prelogit.noise import path_normal
from prelogit.search.plan import (
    Gaussian,
    Greedy,
    Info,
    NoiseKey,
    Plan,
    Rollouts,
    Shape,
    TopP,
)
from prelogit.search.variance import variance_of
from prelogit.wire.params import AISP

ESS_SHARE = 0.3  # rho: lambda "auto" aims at an effective sample size of rho * n
LAST_NOISE_SHARE = 0.2  # f
LARGEST_MEAN_SHARE = 0.98  # of sigma_0^2; the rest stays noise


class AispState(NamedTuple):
    """Between two rounds: U, the variance of the next round's noise, and rounds told."""

    mean: Tensor  # f32[tau, d]
    sigma2: float
    k: int
    shape: Shape
    best: Best | None = None  # where a horizon moves


def init(params: AISP, shape: Shape) -> AispState:
    """U = 0, the noise has the whole variance."""
    return AispState(torch.zeros(shape.window, shape.dim), prior_variance(params, shape), 0, shape)


def prior_variance(params: AISP, shape: Shape) -> float:
    """sigma_0^2: the variance of the first round's noise."""
    return variance_of(params.sigma2, shape)


def ask(state: AispState, params: AISP) -> Plan | None:
    """n samples around U; None after the draw from the final U."""
    if state.k >= params.rounds:
        return None
    where = span(state.k, params, state.shape)
    mean = state.mean[: where.stop]
    control = Gaussian(mean, math.sqrt(state.sigma2), _key(state), where.start)
    return Plan(params.n, control, Greedy(), state.shape.max_new_tokens)


def _key(state: AispState) -> NoiseKey:
    """Of the next round's noise."""
    return NoiseKey(state.shape.seed, state.shape.prompt, state.k + 1)


def tell(
    state: AispState, rollouts: Rollouts, rewards: Tensor, params: AISP
) -> tuple[AispState, Info]:
    """Move U towards the samples that were rewarded; the last round moves nothing."""
    final = state.k + 1 == params.rounds
    lambda_ = choose_lambda(rewards, rollouts.u_dot_noise, params, state.sigma2)
    w = weights_or_even(
        rewards,
        rollouts.u_dot_noise,
        lambda_=lambda_,
        alpha=float(params.alpha),
        sigma2=state.sigma2,
    )
    ess = effective_sample_size(w)
    step = 0.0 if final else step_size(ess, params, state.shape)
    mean = state.mean[span(state.k, params, state.shape)]
    info = Info(
        weights=tuple(w.tolist()),
        ess=ess,
        lambda_=lambda_,
        sigma2=state.sigma2,
        kl_gaussian=gaussian_kl(mean, state.sigma2, prior_variance(params, state.shape)),
        step=step,
        final=final,
    )
    return _advance(state, info.weights, step, rewards.tolist(), params), info


def choose_lambda(rewards: Tensor, u_dot_v: Tensor, params: AISP, sigma2: float) -> float | None:
    """The lambda of a round; for "auto" the one whose weights have an ESS of 0.3 n."""
    if params.lambda_ != "auto":
        return float(params.lambda_)
    wanted = ESS_SHARE * len(rewards)
    return lambda_with(wanted, rewards, u_dot_v, alpha=float(params.alpha), sigma2=sigma2)


def step_size(ess: float, params: AISP, shape: Shape) -> float:
    """b: how far U moves towards the weighted noise; 1 in the paper."""
    if params.variance == "fixed":
        return 1.0
    return min(1.0, math.sqrt(ess * (1.0 - LAST_NOISE_SHARE ** (1.0 / updates(params, shape)))))


def weighted_noise(state: AispState, w: Sequence[float], where: slice) -> Tensor:
    """f64[h, d]: sum_i w_i v_t^i of the next round, the noise made anew from its name (Eq. 14).

    Samples are added one after the other: the bits depend on nothing but the weights.
    """
    sigma, mean = math.sqrt(state.sigma2), state.mean[where]
    total = torch.zeros_like(mean, dtype=torch.float64)
    for i, w_i in enumerate(w):
        if w_i == 0.0:
            continue
        eps = path_normal(
            seed=state.shape.seed,
            prompt=state.shape.prompt,
            iteration=state.k + 1,
            sample=i,
            steps=where.stop,
            dim=state.shape.dim,
        )
        total += w_i * (mean + sigma * eps[where]).double()
    return total


def _advance(
    state: AispState, w: Sequence[float], step: float, rewards: Sequence[float], params: AISP
) -> AispState:
    """The state after a round; shared by tell and restore, so that both give the same bits."""
    k, shape = state.k + 1, state.shape
    if step == 0.0:
        return state._replace(k=k)
    here, then = span(state.k, params, shape), span(k, params, shape)
    mean, best = state.mean.clone(), state.best
    mean[here] = (
        (1.0 - step) * mean[here].double() + step * weighted_noise(state, w, here)
    ).float()
    if horizon(params, shape) < shape.window:
        sigma = math.sqrt(state.sigma2)
        best = better(state.best, rewards, state.mean, sigma, here, _key(state))
        mean[here.start : then.start] = best.noise[here.start : then.start]
    state = state._replace(mean=mean, best=best, k=k)
    if params.variance == "fixed":
        return state
    prior, live = prior_variance(params, shape), mean[then]
    share = squared_norm(live) / live.numel() / prior
    if share > LARGEST_MEAN_SHARE:
        live *= math.sqrt(LARGEST_MEAN_SHARE / share)
    return state._replace(sigma2=prior - squared_norm(live) / live.numel())


def restore(rows: Sequence[Iteration], params: AISP, shape: Shape) -> AispState:
    """The state after the given rounds, from their weights alone: no forward pass.

    sigma2 "auto" is what it was in the first of them, whatever the model at hand says.
    """
    if rows and params.sigma2 == "auto":
        shape = shape._replace(sigma2=rows[0].sigma2)
    state = init(params, shape)
    for row in rows:
        state = _advance(state, row.weights, row.step or 0.0, row.rewards, params)
    return state


def replay(
    trace: Trace | Mapping[str, Any], *, seed: int, prompt: str, sigma2: float, dim: int
) -> Tensor:
    """U after the last iteration, from the trace alone.

    Args:    trace: of an AISP search, as returned by ``align`` or by the REST API.
             sigma2: the method's (that of the first iteration).
    Returns: f32[window, dim], equal to the search's U to the bit.
    Raises:  InputError: the trace is not one of AISP with a mean.
    """
    record = trace if isinstance(trace, Trace) else Trace.model_validate(trace)
    if record.method.get("name") != "aisp" or record.window is None:
        raise InputError("only the trace of an AISP search can be replayed", field="trace")
    if record.method.get("proposal", "mean") != "mean":
        raise InputError(
            'this search went from text to text and has no mean U; one with proposal "mean" has',
            field="trace",
        )
    params = AISP.model_validate({**record.method, "sigma2": sigma2})
    shape = Shape(record.window, dim, record.window, seed, prompt)
    return restore(record.iterations, params, shape).mean


def target(state: AispState, params: AISP) -> Plan | None:
    """One response drawn from softmax(W(z + u*) + b), to measure its KL from the base model.

    Source: arXiv 2510.26219, appendix C.6.
    """
    key = NoiseKey(state.shape.seed, state.shape.prompt, params.rounds + 1)
    control = Gaussian(state.mean, 0.0, key)
    return Plan(1, control, TopP(1.0, 1.0, key), state.shape.max_new_tokens, measure_kl=True)


def warn(rows: Sequence[Iteration], params: AISP, shape: Shape) -> tuple[str, ...]:
    """What a user should know of a finished search.

    With fixed variance every update adds sigma^2/ESS per coordinate by chance alone. Where
    that accounts for most of |U|^2, the search walked at random.
    """
    told = []
    if params.variance == "fixed" and rows and rows[-1].kl_gaussian is not None:
        moves = [row.ess for row in rows if row.ess is not None and not row.final]
        drift = 0.5 * horizon(params, shape) * shape.dim * sum(1.0 / ess for ess in moves)
        if len(moves) > 1 and rows[-1].kl_gaussian > 0.5 * drift:
            told.append(
                f"the mean walked at random: its KL of {rows[-1].kl_gaussian:.0f} nats is what chance "
                f"alone adds at these effective sample sizes ({drift:.0f}); "
                'variance "preserve" avoids this'
            )
    if rows and all(row.lambda_ is None for row in rows):
        told.append(
            "all rewards tied in every round: the reward tells these responses apart nowhere"
        )
    return tuple(told)
