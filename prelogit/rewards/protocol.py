"""What the search asks of a reward: one finite float for each response, in order.

Dimensions: n responses of one call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.core.records import ModelRef
from prelogit.rewards.answers import finite


class Scores(NamedTuple):
    """Rewards of one call, and what they cost."""

    rewards: Tensor  # f64[n] on CPU, finite; larger is better
    reward: ModelRef  # who scored
    tokens: int  # read by the reward model, 0 where it does not say
    calls: int  # requests to the reward, at least 1
    seconds: float  # wall-clock, waiting and retries included
    truncated: tuple[bool, ...] | None = None  # what was scored had been cut; None: not known


Score = Callable[[list[list[dict[str, str]]], list[str]], Awaitable[Scores]]
"""(conversations, responses) -> Scores; ``conversations[i]`` is what stands before ``responses[i]``.

Raises: RewardUnavailableError: the reward does not answer; worth trying again later.
        RewardAnswerError: it answered nonsense or refused; asking again does not help.
        InputError: it cannot read these conversations.
"""


def check(values: object, count: int) -> Tensor:
    """The answer of a reward as f64[count]; see ``answers.finite`` for what is refused.

    Raises: RewardAnswerError: names the first bad place.
    """
    return torch.tensor(finite(values, count), dtype=torch.float64)
