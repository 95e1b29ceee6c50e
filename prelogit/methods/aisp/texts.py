"""AISP with a proposal for each sample: noise that is conditioned on one of the best texts.

    rounds 1..first:  v ~ prior                          n samples, noise in the shape of engine/revise.py
    later rounds:     i(j) ~ w                           each sample's parent, by stratified resampling
                      v ~ prior | parent's tokens win    where they are kept
                      v ~ prior | parent's token loses   where they are drawn anew
    after a round:    population <- the best distinct texts so far
                      w_i = softmax_i( r_i/lambda - (1-alpha) log(proposal/prior)_i )    (Eq. 18)

One mean U for all samples cannot hold a good text: once a prefix differs, the same noise means
other words. So each sample has a proposal of its own, as in population Monte Carlo (Cappé et al.,
2004, "Population Monte Carlo"), with Algorithm 1's weights (arXiv 2510.26219) choosing its parent.
Places are drawn anew where the model had a choice: half of the samples keep all before one such
place and nothing after it, the others keep all but 1 to 4 such places.

How wide the noise should be depends on what the reward likes, so it is searched for as well: half
of the prior's samples are drawn at a temperature that is higher by ``heat``, and a sample has its
parent's temperature, but for one in eight (self-adaptation, as in evolution strategies: Schwefel, 1981).

Dimensions: n samples, T = max_new_tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.core.errors import InputError
from prelogit.core.records import Iteration, Parent, Population
from prelogit.methods.aisp.revision import Revision, revise, temperatures
from prelogit.methods.aisp.weights import finite, lambda_with, weights_or_even
from prelogit.metrics.ess import effective_sample_size
from prelogit.search.plan import Info, NoiseKey, Plan, Revise, Rollouts, Shape
from prelogit.wire.params import AISP

SIZE = 8  # texts that a population holds
PARENTS = 3.0  # lambda "auto": effective number of texts that the rewards alone would choose
# alpha "auto": what a nat a token of likelihood counts in a weight's exponent, up to so many tokens.
NATS_PER_TOKEN, MEASURED_TOKENS = 3.2, 32
LEAST_ALPHA = 0.5
# Logits have other last bits where other rows of the prompt have left; weights shall not.
_DIGITS = 3


class TextsState(NamedTuple):
    """Between two rounds: the texts that samples are made from, and rounds told."""

    population: tuple[Parent, ...]
    k: int
    shape: Shape


def init(params: AISP, shape: Shape) -> TextsState:
    """No texts yet."""
    return TextsState((), 0, shape)


def ask(state: TextsState, params: AISP) -> Plan | None:
    """n samples, made from the population once it is there; None after the last round."""
    if state.k >= params.rounds:
        return None
    shape, revision = state.shape, _revision(state, params)
    key = NoiseKey(shape.seed, shape.prompt, state.k + 1)
    temperature = temperatures(revision, params)
    how = Revise(temperature, params.top_p, key, shape.window, revision.text, revision.keep)
    return Plan(params.n, None, how, shape.max_new_tokens)


def tell(
    state: TextsState, rollouts: Rollouts, rewards: Tensor, params: AISP
) -> tuple[TextsState, Info]:
    """Keep the best distinct texts, and weigh them."""
    if rollouts.revised is None or rollouts.log_ratio is None or rollouts.kl is None:
        raise RuntimeError("the engine tells nothing of the noise of a plan that revises")
    k = state.k + 1
    prior = rollouts.revised.log_prior.round(decimals=_DIGITS)
    made = _revision(state, params)
    temperature = temperatures(made, params)
    found = _found(rollouts, rollouts.revised.free, prior, finite(rewards), temperature, k)
    best = _best([*state.population, *found])
    tilt = torch.tensor([-one.log_prior for one in best], dtype=torch.float64)
    reward = torch.tensor([one.reward for one in best], dtype=torch.float64)
    alpha = relaxation(params, state.shape)
    lambda_: float | None
    if params.lambda_ == "auto":
        wanted = min(PARENTS, 0.999 * len(best))
        # Of the rewards alone: the prior's say comes on top of theirs, and never in their place.
        lambda_ = lambda_with(wanted, reward, torch.zeros_like(tilt), alpha=alpha, sigma2=1.0)
    else:
        lambda_ = params.lambda_
    w = weights_or_even(reward, tilt, lambda_=lambda_, alpha=alpha, sigma2=1.0)
    population = tuple(
        one.model_copy(update={"weight": weight})
        for one, weight in zip(best, w.tolist(), strict=True)
    )
    own = weights_or_even(rewards, -prior, lambda_=lambda_, alpha=alpha, sigma2=1.0)
    noisy = rollouts.revised.sigma2[rollouts.revised.sigma2 > 0]
    info = Info(
        weights=tuple(own.tolist()),
        ess=effective_sample_size(own),
        lambda_=lambda_,
        sigma2=float(noisy.mean()) if len(noisy) else None,
        kl_gaussian=float(-prior.mean()) + 0.0,
        kl_token_sampled=float(rollouts.log_ratio.mean()),
        kl_token_exact=float(rollouts.kl.mean()),
        final=k == params.rounds,
        population=Population(parents=made.parents, texts=_stored(population, k)),
    )
    return TextsState(population, k, state.shape), info


def relaxation(params: AISP, shape: Shape) -> float:
    """alpha; for "auto" by the number of tokens, since log(proposal/prior) is a sum over them.

    In longer texts a nat a token counts less, the less the longer they are: at 64 tokens its full
    weight cost reward and made no answer likelier.
    """
    if params.alpha != "auto":
        return float(params.alpha)
    tokens = shape.window
    return max(LEAST_ALPHA, 1.0 - NATS_PER_TOKEN / tokens * min(1.0, MEASURED_TOKENS / tokens))


def restore(rows: Sequence[Iteration], params: AISP, shape: Shape) -> TextsState:
    """The population after the given rounds: each row has the texts that were new in it."""
    known: dict[tuple[int, int], Parent] = {}
    population: tuple[Parent, ...] = ()
    for row in rows:
        if row.population is None:
            raise InputError(f"round {row.k} has no population to go on from", field="trace")
        for one in row.population.texts:
            whole = known.setdefault((one.iteration, one.sample), one)
            known[one.iteration, one.sample] = whole.model_copy(update={"weight": one.weight})
        population = tuple(known[one.iteration, one.sample] for one in row.population.texts)
    return TextsState(population, len(rows), shape)


def warn(rows: Sequence[Iteration], params: AISP, shape: Shape) -> tuple[str, ...]:
    """What a user should know of a finished search."""
    told = []
    if rows and all(row.std == 0.0 for row in rows):
        told.append(
            "all rewards tied in every round: the reward tells these responses apart nowhere"
        )
    if rows and all(row.sigma2 is None for row in rows):
        told.append(
            f"the model had no choice at temperature {params.temperature:g} and top_p "
            f"{params.top_p:g}, so all samples are the same text: raise one of the two"
        )
    return tuple(told)


def _revision(state: TextsState, params: AISP) -> Revision:
    return revise(state.population, state.k, state.shape, params)


def _found(
    rollouts: Rollouts, free: Tensor, prior: Tensor, rewards: Tensor, temperature: Tensor, k: int
) -> list[Parent]:
    """The round's samples as texts to go on from."""
    made = []
    for sample, length in enumerate(rollouts.length.tolist()):
        made.append(
            Parent(
                iteration=k,
                sample=sample,
                reward=float(rewards[sample]),
                weight=0.0,
                log_prior=float(prior[sample]),
                temperature=float(temperature[sample]),
                token_ids=tuple(rollouts.token_ids[sample, :length].tolist()),
                free=tuple(free[sample, :length].nonzero()[:, 0].tolist()),
            )
        )
    return made


def _best(found: Sequence[Parent]) -> list[Parent]:
    """The best distinct texts; of equals the one drawn first."""
    first: dict[tuple[int, ...], Parent] = {}
    for one in sorted(found, key=lambda one: (-one.reward, one.iteration, one.sample)):
        first.setdefault(one.token_ids, one)
    return list(first.values())[:SIZE]


def _stored(population: Sequence[Parent], k: int) -> tuple[Parent, ...]:
    """As a row keeps them: tokens of this round's texts alone, an earlier row has the others'."""
    return tuple(
        one if one.iteration == k else one.model_copy(update={"token_ids": (), "free": ()})
        for one in population
    )
