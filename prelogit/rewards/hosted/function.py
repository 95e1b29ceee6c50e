"""Rewards that are plain Python: ``(conversations, responses) -> one float each``. Torch-free."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prelogit.core.errors import ModelError, PrelogitError, RewardAnswerError
from prelogit.rewards.answers import finite
from prelogit.rewards.hosted.importing import import_attribute
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored

RewardFunction = Callable[[list[list[dict[str, str]]], list[str]], Any]
LONGEST_ERROR = 500


def load_function(
    path: str, *, name: str | None = None, description: str | None = None
) -> HostedReward:
    """The reward named ``module:callable``.

    Raises: InputError: not of that form. ModelError: no such module or callable.
    """
    return host_function(import_function(path), name=name or path, description=description)


def import_function(path: str) -> RewardFunction:
    """The callable behind ``module:callable``; dots after the colon reach into classes.

    A module that is not installed is also looked for in the current folder, after all others.
    Raises: InputError: not of that form. ModelError: no such module or callable.
    """
    found, module_name, attribute = import_attribute(path, "module:callable")
    if not callable(found):
        raise ModelError(
            f"the module {module_name!r} has no callable {attribute!r}: name a function that takes "
            "(conversations, responses) and returns one float for each response"
        )
    return found  # type: ignore[no-any-return]


def host_function(
    function: RewardFunction, *, name: str | None = None, description: str | None = None
) -> HostedReward:
    """A callable as a hosted reward; it may be a coroutine function."""
    called = name or _qualname(function)
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    return HostedReward(
        name=called,
        kind="function",
        description=description or summary or f"the Python function {called}",
        fingerprint=_fingerprint(function),
        low=None,
        high=None,
        score=lambda conversations, responses: call(function, called, conversations, responses),
    )


def call(
    function: RewardFunction,
    name: str,
    conversations: Sequence[Conversation],
    responses: Sequence[str],
) -> Scored:
    """One call of the user's function, with copies, so that it may change what it is given.

    Raises: RewardAnswerError: it raised (the error's type and text are named), or answered
            something that is not one finite number for each response. Errors of Prelogit's
            own pass as they are: a function may raise RewardUnavailableError to be asked again.
    """
    given = [[dict(message) for message in conversation] for conversation in conversations]
    try:
        answer = function(given, list(responses))
        if inspect.isawaitable(answer):
            answer = asyncio.run(_finish(answer))
    except PrelogitError:
        raise
    except (Exception, SystemExit) as error:
        text = _told(error)
        shown = text if len(text) <= LONGEST_ERROR else text[:LONGEST_ERROR] + "…"
        raise RewardAnswerError(
            f"the reward function {name} raised {type(error).__name__}: {shown}"
        ) from error
    return Scored(finite(answer, len(responses)), [0] * len(responses))


def _told(error: BaseException) -> str:
    """An error's text; of a file only its name, for users of a service need not know its folders."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {Path(os.fsdecode(error.filename)).name!r}"
    return str(error)


async def _finish(awaitable: Any) -> Any:
    return await awaitable


def _fingerprint(function: RewardFunction) -> str | None:
    """sha256 of the source of the function's module, None where there is no source to read."""
    try:
        module = inspect.getmodule(function)
        source = inspect.getsource(module if module is not None else function)
    except (OSError, TypeError):
        return None
    return hashlib.sha256(f"{_qualname(function)}\n{source}".encode()).hexdigest()


def _qualname(function: RewardFunction) -> str:
    """The name of a function or method, or of the class of a callable object."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))
