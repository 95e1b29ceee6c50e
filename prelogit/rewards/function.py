"""Python functions as rewards: ``(conversations, responses) -> list of floats``."""

from __future__ import annotations

from prelogit.rewards.hosted.function import RewardFunction, host_function, load_function
from prelogit.rewards.local import LocalReward


def from_path(path: str, *, name: str | None = None) -> LocalReward:
    """The reward named ``module:callable``, called in a thread.

    Raises: InputError: not of that form. ModelError: no such module or callable.
    """
    return LocalReward(load_function(path, name=name))


def from_callable(function: RewardFunction, *, name: str | None = None) -> LocalReward:
    """A callable as a reward, called in a thread."""
    return LocalReward(host_function(function, name=name))
