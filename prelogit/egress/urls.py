"""Which URLs an installation allows those who post jobs to name. Torch-free.

A job's author decides where the service connects to, so an installation says beforehand where that may be.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

ANY = "*"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")
_PORTS = {"http": 80, "https": 443}

# Of IPv6 only this part is given out as public: others hold IPv4 addresses too, in forms of their own.
_UNICAST = ipaddress.ip_network("2000::/3")
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # where a network has IPv6 alone (NAT64)
_RELAYS = ipaddress.ip_network("192.88.99.0/24")  # to 6to4, given up

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _entries(told: tuple[str, ...]) -> tuple[str, ...]:
    for entry in told:
        parts = urlsplit(entry)
        if entry != ANY and (parts.scheme not in _PORTS or not parts.hostname or "@" in entry):
            raise ValueError(
                'each entry must be the beginning of a URL such as "https://rewards.example.com", or '
                '"*" for every public address'
            )
    return told


AllowedUrls = Annotated[tuple[str, ...], AfterValidator(_entries)]


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


def below(url: str, entry: str) -> bool:
    """Whether the URL begins as the entry says, part by part."""
    return _below(urlsplit(url), urlsplit(entry))


def private(address: Address) -> bool:
    """Whether an address is anything but a public one; those inside of IPv6 are looked through."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return private(inner)
        if address not in _UNICAST:
            return True
    return not address.is_global or address.is_multicast or address in _RELAYS


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
