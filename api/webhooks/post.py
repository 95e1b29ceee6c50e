"""One attempt to tell a receiver of an event."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from api.settings import Settings
from api.webhooks.allowed import entry_for
from db.deliveries import Claimed
from prelogit import __version__
from prelogit.core.errors import InputError
from prelogit.egress.public_only import PrivateAddressError, PublicOnly
from prelogit.egress.retry_after import retry_after
from prelogit.egress.signing import secrets_for
from prelogit.egress.urls import ANY, LOOPBACK_HOSTS
from prelogit.webhooks import HEADER, sign

log = logging.getLogger("prelogit.api.webhooks")

LARGEST_ANSWER = 4096  # bytes of an answer that are waited for, and dropped: its status counts
CONNECT_SECONDS = 5.0
GONE = 410


class Outcome(NamedTuple):
    """What came of an attempt. ``status``: the receiver's, None: it gave none. ``error``: in our own
    words, None: it has arrived. ``later_seconds``: how long it asks to be left alone."""

    status: int | None
    error: str | None
    later_seconds: float = 0.0


async def attempt(one: Claimed, settings: Settings, certificates: ssl.SSLContext) -> Outcome:
    """Posts the event, within the time limit of the whole. Raises nothing that a receiver can cause."""
    try:
        entry = entry_for(one.url, settings.webhook_urls)
        secrets = secrets_for(one.url, settings.webhook_secrets)
    except InputError as error:
        return Outcome(None, str(error))
    headers = {
        "content-type": "application/json",
        "user-agent": f"prelogit/{__version__}",
        "accept-encoding": "identity",
        "prelogit-event-id": one.id,
        HEADER.lower(): sign(one.body, secrets, at=int(time.time())),
    }
    try:
        async with (
            asyncio.timeout(settings.webhook_timeout_seconds),
            _client(entry, one, certificates) as client,
            client.stream("POST", one.url, content=one.body, headers=headers) as answer,
        ):
            await _drop_beginning(answer)
            return _outcome(answer)
    except (TimeoutError, httpx.TimeoutException):
        seconds = settings.webhook_timeout_seconds
        return Outcome(None, f"no answer within {seconds:g} s: answer first, and work afterwards")
    except PrivateAddressError:
        return Outcome(
            None,
            "the host is on a private network, which this installation posts to only where "
            "PRELOGIT_WEBHOOK_URLS names it",
        )
    except httpx.ConnectError:
        return Outcome(
            None, "no connection: the host is not known, refuses, or shows no valid certificate"
        )
    except (httpx.TransportError, httpx.DecodingError) as error:
        return Outcome(None, f"the connection broke off ({type(error).__name__})")
    except Exception as error:
        log.exception("event %s cannot be posted", one.id)
        return Outcome(None, f"it cannot be posted to that URL ({type(error).__name__})")


def _client(entry: str, one: Claimed, certificates: ssl.SSLContext) -> httpx.AsyncClient:
    local = urlsplit(one.url).hostname in LOOPBACK_HOSTS
    return httpx.AsyncClient(
        transport=PublicOnly(certificates) if entry == ANY else None,
        verify=certificates,
        trust_env=entry != ANY and not local,  # a proxy cannot reach this machine's loopback
        follow_redirects=False,  # to where nobody has looked
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
    )


async def _drop_beginning(answer: httpx.Response) -> None:
    """Lets a receiver end a short answer, rather than break its connection off."""
    length = 0
    async for piece in answer.aiter_raw():
        length += len(piece)
        if length > LARGEST_ANSWER:
            break


def _outcome(answer: httpx.Response) -> Outcome:
    """Nothing but the status is told of an answer: whoever chose the URL may not own what answers."""
    status = answer.status_code
    if answer.is_success:
        return Outcome(status, None)
    if 300 <= status < 400:
        return Outcome(status, "redirects are not followed: give the URL that it leads to")
    did = "refused the event" if status < 500 else "failed"
    return Outcome(
        status, f"status {status}: the receiver {did}, see its own logs", retry_after(answer)
    )
