"""Signatures of webhooks: how the gateway makes them, and how a receiver checks them.

The header ``Prelogit-Signature`` is ``t=<Unix seconds>,v1=<hex>``; v1 is the HMAC-SHA256 of the time,
a dot and the body, and stands once for each of the installation's secrets.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any

from prelogit.core.errors import PrelogitError

HEADER = "Prelogit-Signature"
_MOST_SIGNATURES = 16


class SignatureError(PrelogitError):
    """A webhook that must not be believed: not signed with this secret, changed, or old."""


def sign(body: bytes, secrets: Sequence[str], *, at: int) -> str:
    """The header's value.

    Args:   secrets: one or more; each makes a signature, so that a receiver may know either.
            at: when it is sent, in Unix seconds.
    """
    return ",".join([f"t={at}", *(f"v1={_mac(body, str(at), secret)}" for secret in secrets)])


def verify(
    body: bytes | str, header: str | None, secret: str, tolerance_seconds: float = 300
) -> dict[str, Any]:
    """The event that a webhook tells of, once its signature is found good.

    Args:   body: as it came, to the byte: JSON that was parsed and written anew is another text.
            header: the value of ``Prelogit-Signature``; None where there is none.
            tolerance_seconds: how far the sender's clock and the way may be off. An event that
            comes a second time has the same ``id``.
    Returns: the body as JSON: ``id``, ``event``, ``created_at``, ``job`` and more.
    Raises: SignatureError: do not believe it.
    """
    raw = body.encode() if isinstance(body, str) else body
    at, found = _parts(header)
    right = _mac(raw, at, secret)
    # All are compared, each in constant time: how long it takes tells nothing.
    if sum(hmac.compare_digest(one.encode(), right.encode()) for one in found) == 0:
        raise SignatureError(
            "the webhook is not signed with this secret: compare it with the sender's, and give "
            "the body as it came, to the byte"
        )
    if abs(time.time() - int(at)) > tolerance_seconds:
        raise SignatureError(
            f"the webhook was signed more than {tolerance_seconds:g} s ago or ahead: it is sent a second "
            "time by somebody else, or a clock is wrong"
        )
    event = json.loads(raw)
    assert isinstance(event, dict)  # noqa: S101 - the sender signs nothing else
    return event


def _parts(header: str | None) -> tuple[str, list[str]]:
    times: list[str] = []
    signatures: list[str] = []
    for part in (header or "").split(",", _MOST_SIGNATURES):
        name, _, value = part.strip().partition("=")
        if name == "t":
            times.append(value)
        elif name == "v1":
            signatures.append(value)
    if len(times) != 1 or not _is_time(times[0]) or not signatures:
        raise SignatureError(
            f"the header {HEADER} is missing or is not t=<Unix seconds>,v1=<signature>: the request "
            "is not from Prelogit, or a proxy has taken the header out"
        )
    return times[0], signatures


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12


def _mac(body: bytes, at: str, secret: str) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
