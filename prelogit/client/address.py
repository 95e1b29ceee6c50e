"""Where the gateway is, and the settings of a connection to it."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from prelogit.core.errors import InputError

DEFAULT_URL = "http://127.0.0.1:8000"


def gateway_url(given: str | None) -> str:
    """The URL that was given, else PRELOGIT_URL, else that of a stack on this machine.

    Raises: InputError: it is not a URL of HTTP.
    """
    url = (given or os.environ.get("PRELOGIT_URL") or DEFAULT_URL).rstrip("/")
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise InputError(
            f"{url!r} is no URL of a gateway: use one such as {DEFAULT_URL}", field="PRELOGIT_URL"
        )
    return url


def api_key(given: str | None) -> str | None:
    """The key that was given, else PRELOGIT_API_KEY; None where there is neither.

    Raises: InputError: no header can carry it; does not show it.
    """
    key = (given or os.environ.get("PRELOGIT_API_KEY") or "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(
            "the API key has signs that no key has: give it as it was shown, plk_…",
            field="PRELOGIT_API_KEY",
        )
    return key or None


def connection(url: str, timeout_seconds: float, key: str | None) -> dict[str, Any]:
    """Arguments that both kinds of httpx client take."""
    host = urlsplit(url).hostname or ""
    # A proxy set for the internet must not be asked for this machine.
    local = host in ("localhost", "::1") or host.startswith("127.")
    return {
        "base_url": url,
        "timeout": timeout_seconds,
        "trust_env": not local,
        "headers": {
            "User-Agent": "prelogit",
            **({} if key is None else {"Authorization": f"Bearer {key}"}),
        },
    }
