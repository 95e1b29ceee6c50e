"""Greedy decoding: the most likely token at each step, one response. Nothing is searched.

    y_t = argmax_j [W z_t + b]_j

What the model says by itself: every other method without its noise and its reward (AISP with
sigma2 going to 0, ARGS with w = 0, RE-Control with no step).

Source: arXiv 2510.26219 (greedy decoding from the pre-logits).
"""

from __future__ import annotations

from torch import Tensor

from prelogit.search import one_round, plan
from prelogit.search.one_round import OneRoundState
from prelogit.search.plan import Info, Method, Plan, Rollouts
from prelogit.wire.params import Greedy


def ask(state: OneRoundState, params: Greedy) -> Plan | None:
    """One response."""
    if state.k >= params.rounds:
        return None
    return Plan(1, None, plan.Greedy(), state.shape.max_new_tokens)


def tell(
    state: OneRoundState, rollouts: Rollouts, rewards: Tensor, params: Greedy
) -> tuple[OneRoundState, Info]:
    """It is the answer, whatever its reward."""
    return one_round.told(state), one_round.alike(len(rewards), chosen=0)


METHOD = Method(
    Greedy,
    one_round.init,
    ask,
    tell,
    one_round.restore,
    one_round.no_target,
    one_round.no_warning,
)
