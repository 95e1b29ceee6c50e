"""What the samples of a round are made from: parents, places that are drawn anew, temperatures.

A function of the population and of the noise's names alone, so that a round can be asked for again.

Dimensions: n samples, T = max_new_tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.core.records import Parent
from prelogit.noise import rows_of, uniform_rows
from prelogit.search.plan import Shape
from prelogit.wire.params import AISP

UNINFORMED = 0.25  # share of the rounds that draw from the prior
HOT = 2  # of the prior's samples every so-manyth has the higher temperature
SWITCH = 0.125  # share of the samples that have the other temperature than their parent
CHANGES = (1, 2, 3, 4)  # places that a sample draws anew when it is not cut, in turns


class Revision(NamedTuple):
    """What the samples of a round are made from."""

    parents: tuple[int, ...]  # place in the population, -1: none
    text: Tensor  # i64[n, T], -1: none
    keep: Tensor  # bool[n, T]
    hot: Tensor  # bool[n], at the higher temperature


def revise(population: Sequence[Parent], k: int, shape: Shape, params: AISP) -> Revision:
    """Choose parents and places; a function of the population and of the noise's names alone."""
    n = params.n
    text = torch.full((n, shape.max_new_tokens), -1, dtype=torch.long)
    keep = torch.zeros(n, shape.max_new_tokens, dtype=torch.bool)
    hot = torch.arange(n) % HOT == HOT - 1
    if k < uninformed_rounds(params.rounds) or not population:
        return Revision((-1,) * n, text, keep, hot)
    parents = []
    for i, draw in enumerate(_uniforms(shape, k, n)):
        strata = (i + float(draw[0])) / n
        place = _inverse([parent.weight for parent in population], strata)
        parent = population[place]
        free = [t for t in parent.free if t < shape.window]
        if not free:  # the model never had a choice
            parents.append(-1)
            continue
        parents.append(place)
        hot[i] = _is_hot(parent, params) != (float(draw[-1]) < SWITCH)
        length = len(parent.token_ids)
        text[i, :length] = torch.tensor(parent.token_ids)
        keep[i, :length] = True
        if i % 2 == 0:
            cut = free[min(int(float(draw[shape.max_new_tokens + 1]) * len(free)), len(free) - 1)]
            text[i, cut + 1 :] = -1
            keep[i, cut:] = False
        else:
            order = sorted(free, key=lambda t, draw=draw: float(draw[t + 1]))  # type: ignore[misc]
            keep[i, order[: CHANGES[i // 2 % len(CHANGES)]]] = False
    return Revision(tuple(parents), text, keep, hot)


def temperatures(revision: Revision, params: AISP) -> Tensor:
    """f64[n]: of the noise of each sample."""
    return params.temperature * torch.where(revision.hot, params.heat, 1.0).double()


def _is_hot(parent: Parent, params: AISP) -> bool:
    return parent.temperature is not None and parent.temperature > params.temperature


def uninformed_rounds(rounds: int) -> int:
    """How many rounds draw from the prior before there is a population to trust."""
    return max(1, int(UNINFORMED * rounds))


def _uniforms(shape: Shape, k: int, n: int) -> Tensor:
    """f64[n, T + 3] in (0, 1): a sample's stratum, a number for each place, its cut's, its temperature's.

    By names that no other draw of this round has: noise begins at step 1 and is normal.
    """
    steps = shape.max_new_tokens + 3
    step = torch.arange(steps).repeat(n)
    sample = torch.arange(n).repeat_interleave(steps)
    names = rows_of(seed=shape.seed, prompt=shape.prompt, iteration=k + 1, sample=sample, step=step)
    return uniform_rows(names).view(n, steps)


def _inverse(shares: Sequence[float], point: float) -> int:
    """The first place at which the summed shares exceed the point's part of them all."""
    target, total = point * math.fsum(shares), 0.0
    for place, share in enumerate(shares):
        total += share
        if total > target:
            return place
    return len(shares) - 1
