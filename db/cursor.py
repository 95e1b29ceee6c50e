"""Cursors of pages: opaque to clients, a JSON list inside."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from prelogit.core.errors import InputError


def encode(*parts: Any) -> str:
    """The cursor that stands for these values."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type) -> list[Any]:
    """The values of a cursor, one of each kind. Raises InputError for anything else."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        parts = None
    if (
        not isinstance(parts, list)
        or [type(part) for part in parts] != list(kinds)
        or any(isinstance(part, int) and abs(part) >= 2**31 for part in parts)
    ):
        raise refused()
    return parts


def refused() -> InputError:
    """What a client is told that sent anything but a cursor of ours."""
    return InputError(
        "this cursor was not made by this service: send the next_cursor of the page before, "
        "or leave it out to begin at the first page",
        field="cursor",
    )
