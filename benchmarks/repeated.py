"""A method for timing alone: so many rounds of Gaussian noise around zero, whatever the rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from benchmarks.steered import gaussian_plan
from prelogit.core.records import Iteration
from prelogit.search.plan import Info, Method, Plan, Rollouts, Shape


class RepeatedParams(NamedTuple):
    """n samples a round."""

    n: int
    rounds: int


class RepeatedState(NamedTuple):
    """Rounds told so far."""

    k: int
    shape: Shape


def _init(params: RepeatedParams, shape: Shape) -> RepeatedState:
    return RepeatedState(0, shape)


def _ask(state: RepeatedState, params: RepeatedParams) -> Plan | None:
    if state.k >= params.rounds:
        return None
    shape = state.shape
    return gaussian_plan(
        params.n, shape.max_new_tokens, shape.dim, prompt=shape.prompt, iteration=state.k + 1
    )


def _tell(
    state: RepeatedState, rollouts: Rollouts, rewards: Tensor, params: RepeatedParams
) -> tuple[RepeatedState, Info]:
    return state._replace(k=state.k + 1), Info(weights=(1 / params.n,) * params.n)


def _restore(rows: Sequence[Iteration], params: RepeatedParams, shape: Shape) -> RepeatedState:
    return RepeatedState(len(rows), shape)


def _none(state: RepeatedState, params: RepeatedParams) -> None:
    return None


def _silent(rows: Sequence[Iteration], params: Any, shape: Shape) -> tuple[str, ...]:
    return ()


REPEATED = Method(RepeatedParams, _init, _ask, _tell, _restore, _none, _silent)
