"""Best of n: n independent samples, the best is the answer.

Two forms: nucleus sampling (temperature, then top-p; the stronger baseline), or Gaussian noise
N(0, sigma2 I) on the pre-logits with greedy decoding, which is AISP's first round.

Source: Stiennon et al., 2020, "Learning to summarize from human feedback", arXiv 2009.01325; the
Gaussian form: arXiv 2510.26219.
"""

from __future__ import annotations

from torch import Tensor

from prelogit.search import one_round
from prelogit.search.one_round import OneRoundState
from prelogit.search.plan import Info, Method, Rollouts
from prelogit.wire.params import BestOfN


def tell(
    state: OneRoundState, rollouts: Rollouts, rewards: Tensor, params: BestOfN
) -> tuple[OneRoundState, Info]:
    """Every sample weighs the same; the best is the answer."""
    info = one_round.alike(len(rewards), sigma2=one_round.noise_of(state, params))
    return one_round.told(state), info


METHOD = Method(
    BestOfN,
    one_round.init,
    one_round.drawn,
    tell,
    one_round.restore,
    one_round.no_target,
    one_round.no_warning,
)
