"""AISP: adaptive importance sampling on pre-logits (arXiv 2510.26219).

``mean.py`` is the published search, one mean U for all samples; ``texts.py`` the one that
goes from text to text, the default; ``weights.py`` what both share, Eq. 18.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from prelogit.core.records import Iteration
from prelogit.methods.aisp import mean, texts
from prelogit.methods.aisp.mean import AispState, replay
from prelogit.methods.aisp.texts import TextsState
from prelogit.methods.aisp.weights import weights
from prelogit.search.plan import Info, Method, Plan, Rollouts, Shape
from prelogit.wire.params import AISP

__all__ = ["METHOD", "replay", "weights"]

State = AispState | TextsState


def init(params: AISP, shape: Shape) -> State:
    """Before the first round."""
    if params.proposal == "texts":
        return texts.init(params, shape)
    return mean.init(params, shape)


def ask(state: State, params: AISP) -> Plan | None:
    """The next n samples; None after the last round."""
    return texts.ask(state, params) if isinstance(state, TextsState) else mean.ask(state, params)


def tell(state: State, rollouts: Rollouts, rewards: Tensor, params: AISP) -> tuple[State, Info]:
    """Learn from a round's rewards (f64[n])."""
    if isinstance(state, TextsState):
        return texts.tell(state, rollouts, rewards, params)
    return mean.tell(state, rollouts, rewards, params)


def restore(rows: Sequence[Iteration], params: AISP, shape: Shape) -> State:
    """The state after the given rounds, without a forward pass."""
    if params.proposal == "texts":
        return texts.restore(rows, params, shape)
    return mean.restore(rows, params, shape)


def target(state: State, params: AISP) -> Plan | None:
    """One draw from the aligned model, for its KL; texts know theirs from the last round."""
    return None if isinstance(state, TextsState) else mean.target(state, params)


def warn(rows: Sequence[Iteration], params: AISP, shape: Shape) -> tuple[str, ...]:
    """What a user should know of a finished search."""
    if params.proposal == "texts":
        return texts.warn(rows, params, shape)
    return mean.warn(rows, params, shape)


METHOD = Method(AISP, init, ask, tell, restore, target, warn)
