"""Which reward servers a job may name, and which key goes to which of them. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from prelogit.core.errors import InputError
from prelogit.egress.keys import Key, read_key
from prelogit.egress.urls import ANY, AllowedUrls, allowed_by, below

RewardUrls = AllowedUrls
RewardKeys = Annotated[dict[str, Key], Field(repr=False)]


def refuse_unless_allowed(url: str, allowed: Sequence[str], *, field: str = "reward.url") -> str:
    """The entry that allows the URL.

    Raises: InputError: none does; names the setting, not the entries.
    """
    entry = allowed_by(url, allowed)
    if entry is None:
        private = (
            ' (it is on a private network, which "*" does not allow)' if ANY in allowed else ""
        )
        raise InputError(
            f"this installation does not allow jobs to use that reward server{private}: have the beginning of "
            "its URL put into PRELOGIT_REWARD_URLS, or name a reward that is hosted here",
            field=field,
        )
    return entry


def key_of(name: str, url: str, keys: Mapping[str, Key], *, field: str = "reward.key") -> Key:
    """The key of that name, which must be meant for that server.

    Raises: InputError: there is none; lists names alone.
    """
    key = keys.get(name)
    if key is None or not below(url, key.url):
        for_it = [one for one, kept in keys.items() if below(url, kept.url)]
        raise InputError(
            f"there is no key {name!r} for that server in this installation"
            + (
                f": there is {', '.join(for_it)}"
                if for_it
                else ": have it put into PRELOGIT_REWARD_KEYS"
            ),
            field=field,
        )
    return key


def secret(name: str, key: Key) -> str:
    """What the variable or the file holds, read now, so that a new one is taken up.

    Raises: InputError: it is not there, or no text that a header can carry; does not show it.
    """
    return read_key(name, key, setting="PRELOGIT_REWARD_KEYS", field="reward.key")
