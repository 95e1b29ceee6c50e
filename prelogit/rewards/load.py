"""From what a user names to a reward that scores."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from prelogit.core.errors import InputError
from prelogit.rewards.function import from_callable, from_path
from prelogit.rewards.local import LocalReward, relevance
from prelogit.rewards.protocol import Score
from prelogit.rewards.service import ServiceReward

NAMED = {"relevance": relevance}


def load_reward(name: str | Callable[..., Any], /, **options: Any) -> Score:
    """A reward by name, URL, ``module:callable``, or as a callable.

    Args:   name: ``"relevance"`` (sentence embeddings, in this process); the URL of a reward
            service, where ``#name`` at its end picks one of several; ``"module:callable"``; or
            a callable ``(conversations, responses) -> list of floats``.
            options: of ``load_embedding``, ``ServiceReward``, ``from_path``, ``from_callable``.
    Raises: InputError: nothing of that name. ModelError: it cannot be loaded.
    """
    if isinstance(name, (LocalReward, ServiceReward)):
        return name
    if callable(name):
        return from_callable(name, **options)
    if name in NAMED:
        return NAMED[name](**options)
    if name.startswith(("http://", "https://")):
        return ServiceReward(name, **options)
    if ":" in name:
        return from_path(name, **options)
    near = get_close_matches(name, NAMED, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(
        f"there is no reward {name!r}: {hint}give {', '.join(map(repr, NAMED))}, the URL of a reward "
        "service, or a Python function as module:callable",
        field="reward",
    )
