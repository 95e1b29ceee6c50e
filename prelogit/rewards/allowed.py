"""Which reward servers a job may name, and which key goes to which of them. Torch-free.

A job's author decides where a worker connects to, so an installation says beforehand where that may be.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from prelogit.core.errors import InputError

ANY = "*"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")
_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Text = Annotated[str, Field(min_length=1)]


class Key(BaseModel):
    """A key for reward servers: where it is kept, and the beginning of the URLs that it goes to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Text
    env: Text | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("give either env (a variable's name) or file, and not both")
        return self


def _entries(told: tuple[str, ...]) -> tuple[str, ...]:
    for entry in told:
        parts = urlsplit(entry)
        if entry != ANY and (parts.scheme not in _PORTS or not parts.hostname or "@" in entry):
            raise ValueError(
                'each entry must be the beginning of a URL such as "https://rewards.example.com", or '
                '"*" for every public address'
            )
    return told


RewardUrls = Annotated[tuple[str, ...], AfterValidator(_entries)]
RewardKeys = Annotated[dict[str, Key], Field(repr=False)]


def allowed_by(url: str, allowed: Sequence[str]) -> str | None:
    """The entry that allows the URL; None: none does.

    An entry is the beginning of a URL: scheme and host must be the same, the port too unless the entry
    for a host of this machine leaves it out, and the path must be below the entry's. ``"*"`` stands for every public address.
    """
    parts = urlsplit(url)
    for entry in allowed:
        if entry == ANY:
            if not _is_private(parts.hostname or ""):
                return entry
        elif _below(parts, urlsplit(entry)):
            return entry
    return None


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
    if key is None or not _below(urlsplit(url), urlsplit(key.url)):
        for_it = [one for one, kept in keys.items() if _below(urlsplit(url), urlsplit(kept.url))]
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
    try:
        held = os.environ[key.env] if key.env is not None else _read(key)
    except (KeyError, OSError, UnicodeDecodeError):
        raise InputError(
            f"the key {name!r} of PRELOGIT_REWARD_KEYS cannot be read: check its "
            f"{'variable' if key.env is not None else 'file'}",
            field="reward.key",
        ) from None
    held = held.strip()
    if not held or not held.isascii() or not held.isprintable() or " " in held:
        raise InputError(
            f"the key {name!r} of PRELOGIT_REWARD_KEYS is empty, or no key: check what stands there",
            field="reward.key",
        )
    return held


def private(address: Address) -> bool:
    """Whether an address is anything but a public one; those inside of IPv6 are looked through."""
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if inner is not None:
        return private(inner)
    return not address.is_global or address.is_multicast


def _is_private(host: str) -> bool:
    """Whether a host says itself that it is private; names are resolved where one connects."""
    try:
        return private(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return host == "localhost" or host.endswith(".localhost") or "." not in host


def _below(url: SplitResult, entry: SplitResult) -> bool:
    if url.scheme != entry.scheme or url.hostname != entry.hostname:
        return False
    any_port = entry.port is None and entry.hostname in LOOPBACK_HOSTS
    if not any_port and _port(url) != _port(entry):
        return False
    beginning = entry.path.rstrip("/")
    steps = url.path.split("/")
    if ".." in steps or "%" in url.path:
        return beginning == ""
    return url.path == beginning or url.path.startswith(beginning + "/") or beginning == ""


def _port(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)


def _read(key: Key) -> str:
    assert key.file is not None  # noqa: S101 - or it has a variable
    return key.file.read_text(encoding="utf-8")
