"""Keys of servers, by the name of the environment variable that holds them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from prelogit.core.errors import InputError


def key_reader(key_env: str | None, *, whose: str) -> Callable[[], str | None]:
    """Reads the key anew each time that it is needed; it is neither kept nor shown.

    Args:   key_env: the variable's name; None: there is no key. whose: the key in an error
            ("the judge's key").
    Raises: InputError: the variable is unset, or holds no key; at once and whenever it is read.
    """
    read = partial(_read, key_env, whose)
    read()
    return read


def _read(key_env: str | None, whose: str) -> str | None:
    if key_env is None:
        return None
    key = os.environ.get(key_env, "")
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        # The name is not repeated: it may be the key itself, given in its place.
        raise InputError(
            f"the environment variable that is named for {whose} "
            f"{'holds none' if key else 'is not set'}: give the variable's name, not the key",
            field="key_env",
        )
    return key
