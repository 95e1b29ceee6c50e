"""Where a service is: its address without what must not be shown."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import httpx

from prelogit.core.errors import InputError


class Address(NamedTuple):
    """A service's address. ``shown`` has neither user, password nor query."""

    url: str  # without user and password, without a slash at the end
    shown: str
    login: tuple[str, str] | None
    reward: str | None  # from #name at the end
    loopback: bool  # on this machine

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def parse_address(
    url: str, *, what: str = "the reward service's URL", field: str = "reward"
) -> Address:
    """
    Args:   what, field: the URL's name in an error.
    Raises: InputError: no http(s) URL with a host; does not repeat the URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    place = f"[{host}]" if host and ":" in host else host
    shown = f"{parts.scheme}://{place}" + (f":{port}" if port is not None else "")
    url = shown + parts.path.rstrip("/")
    if parts.scheme not in ("http", "https") or not host or not _can_be_asked(url):
        raise InputError(f"{what} must look like http://127.0.0.1:8100", field=field)
    login = None
    if parts.username is not None:
        login = (unquote(parts.username), unquote(parts.password or ""))
    return Address(
        url=url,
        shown=shown,
        login=login,
        reward=unquote(parts.fragment) or None,
        loopback=host in ("localhost", "::1") or host.startswith("127."),
    )


def _can_be_asked(url: str) -> bool:
    """Whether the HTTP client takes it, which knows what a host's name may be."""
    try:
        host = httpx.URL(url).host
    except (httpx.InvalidURL, ValueError):  # the latter of names that IDNA does not allow
        return False
    return "%20" not in host  # what it makes of a space
