"""Plain sampling: n samples of the model, the first is the answer whatever its reward.

The other samples are scored too: the mean of their rewards is what one sample is worth, with less
chance in it than a single one has. With the defaults it is the model's own distribution.

Source: Holtzman et al., 2020, "The Curious Case of Neural Text Degeneration", arXiv 1904.09751
(temperature, then top-p).
"""

from __future__ import annotations

from torch import Tensor

from prelogit.search import one_round
from prelogit.search.one_round import OneRoundState
from prelogit.search.plan import Info, Method, Rollouts
from prelogit.wire.params import Sample


def tell(
    state: OneRoundState, rollouts: Rollouts, rewards: Tensor, params: Sample
) -> tuple[OneRoundState, Info]:
    """The rewards choose nothing."""
    return one_round.told(state), one_round.alike(len(rewards), chosen=0)


METHOD = Method(
    Sample,
    one_round.init,
    one_round.sampled,
    tell,
    one_round.restore,
    one_round.no_target,
    one_round.no_warning,
)
