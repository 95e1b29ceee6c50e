"""Keys for the tests of the gateway: made in its store, and sent with a client's requests."""

from __future__ import annotations

from typing import Any

import httpx

from db import keys
from prelogit.wire.keys import KeyRequest, NewKey
from tests.api.running import Running


def make_key(gateway: Running, **fields: Any) -> NewKey:
    with gateway.inside.store.begin() as session:
        return keys.create(session, KeyRequest.model_validate(fields))


def bearing(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def client_of(gateway: Running, key: NewKey | str) -> httpx.Client:
    """A client that sends the key."""
    text = key if isinstance(key, str) else key.key
    return httpx.Client(base_url=gateway.client.base_url, timeout=60, headers=bearing(text))
