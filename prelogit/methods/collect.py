"""Collecting for RE-Control: n samples by top-p, with the pre-logit of every token.

Source: arXiv 2406.05954, section 4.2: the value is trained on the model's own responses.
"""

from __future__ import annotations

from torch import Tensor

from prelogit.search import one_round
from prelogit.search.one_round import OneRoundState
from prelogit.search.plan import Info, Method, Plan, Rollouts
from prelogit.wire.params import CollectStates


def ask(state: OneRoundState, params: CollectStates) -> Plan | None:
    """All n samples in one round."""
    plan = one_round.sampled(state, params)
    return None if plan is None else plan._replace(keep_hidden=True)


def tell(
    state: OneRoundState, rollouts: Rollouts, rewards: Tensor, params: CollectStates
) -> tuple[OneRoundState, Info]:
    """Nothing is learned here: every sample weighs the same."""
    return one_round.told(state), one_round.alike(len(rewards))


METHOD = Method(
    CollectStates,
    one_round.init,
    ask,
    tell,
    one_round.restore,
    one_round.no_target,
    one_round.no_warning,
)
