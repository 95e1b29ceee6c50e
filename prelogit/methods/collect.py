"""Collecting for RE-Control: n samples by top-p, with the pre-logit of every token.

Source: arXiv 2406.05954, section 4.2: the value is trained on the model's own responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from prelogit.core.records import Iteration
from prelogit.search.plan import Info, Method, NoiseKey, Plan, Rollouts, Shape, TopP
from prelogit.wire.params import CollectStates


class CollectState(NamedTuple):
    """Whether the one round has been told."""

    k: int
    shape: Shape


def init(params: CollectStates, shape: Shape) -> CollectState:
    """Nothing drawn yet."""
    return CollectState(0, shape)


def ask(state: CollectState, params: CollectStates) -> Plan | None:
    """All n samples in one round."""
    if state.k >= params.rounds:
        return None
    shape = state.shape
    pick = TopP(params.temperature, params.top_p, NoiseKey(shape.seed, shape.prompt, 1))
    return Plan(params.n, None, pick, shape.max_new_tokens, keep_hidden=True)


def tell(
    state: CollectState, rollouts: Rollouts, rewards: Tensor, params: CollectStates
) -> tuple[CollectState, Info]:
    """Nothing is learned here: every sample weighs the same."""
    n = len(rewards)
    info = Info(weights=(1.0 / n,) * n, ess=float(n), final=True)
    return state._replace(k=state.k + 1), info


def restore(rows: Sequence[Iteration], params: CollectStates, shape: Shape) -> CollectState:
    """The state after the given rounds."""
    return CollectState(len(rows), shape)


def target(state: CollectState, params: CollectStates) -> Plan | None:
    """The model is not changed, so there is no KL to measure."""
    return None


def warn(rows: Sequence[Iteration], params: CollectStates, shape: Shape) -> tuple[str, ...]:
    """Nothing to say."""
    return ()


METHOD = Method(CollectStates, init, ask, tell, restore, target, warn)
