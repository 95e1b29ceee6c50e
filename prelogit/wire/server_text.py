"""A server in one string, for settings and the command line.

``vllm-classify+http://host:8000?truncation=left#model``: protocol, URL, options as a query, model.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from prelogit.core.errors import InputError

WHOLE = {"max_tokens", "items_per_request", "bytes_per_request", "requests_at_once", "top_logprobs"}
SECONDS = {"timeout_seconds", "patience_seconds", "first_wait_seconds", "longest_wait_seconds"}

_FORM = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)\+(https?://.*)", re.DOTALL)


class Server(NamedTuple):
    protocol: str
    url: str  # without the query
    options: dict[str, Any]

    def __repr__(self) -> str:
        return f"Server({self.protocol!r})"  # a password may stand in the URL


class Located(NamedTuple):
    url: str  # without the query
    options: dict[str, Any]

    def __repr__(self) -> str:
        return "Located()"  # a password may stand in the URL


def server_in(name: str) -> Server | None:
    """What a string of that form says; None: it has another form.

    Raises: InputError: an option's value cannot be one.
    """
    found = _FORM.fullmatch(name)
    if found is None:
        return None
    protocol, url = found.groups()
    return Server(protocol, *options_in(url))


def options_in(url: str) -> Located:
    """A URL without its query, which tells options.

    Raises: InputError: an option's value cannot be one.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return Located(url, {})  # refused where the URL is read
    options = {
        key: _value(key, text) for key, text in parse_qsl(parts.query, keep_blank_values=True)
    }
    return Located(urlunsplit(parts._replace(query="")), options)


def _value(key: str, text: str) -> Any:
    try:
        if key in WHOLE or (key == "label" and text.isdecimal()):
            return int(text)
        if key in SECONDS:
            return float(text)
    except ValueError:
        raise InputError(f"{key} must be a number", field=key) from None
    if key == "activation":
        if text not in ("true", "false"):
            raise InputError("activation must be true or false", field=key)
        return text == "true"
    if key == "body":
        raise InputError("body cannot be given in one string: give it as an argument", field=key)
    return text
