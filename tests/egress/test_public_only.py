"""A client that must not reach into a private network, however a host is written."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from prelogit.egress.public_only import PrivateAddressError, PublicOnly
from tests.rewards.conftest import _serve, scores


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{}", "http://localhost:{}", "http://[::1]:{}", "http://2130706433:{}"]
)
async def test_a_private_address_is_never_connected_to(url: str) -> None:
    async with _serve(lambda *_: scores(1)) as server:
        port = server.url.rpartition(":")[2]
        async with httpx.AsyncClient(transport=PublicOnly(verify=False)) as client:
            with pytest.raises(PrivateAddressError):
                await client.post(url.format(port), content=b"{}")
        assert server.seen == []


async def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name is resolved once; a second look would find another address."""
    async with _serve(lambda *_: scores(1)) as server:
        port = int(server.url.rpartition(":")[2])
        asked = []

        def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr("prelogit.egress.public_only.private", lambda address: False)
        async with httpx.AsyncClient(transport=PublicOnly(verify=False)) as client:
            answer = await client.post(f"http://rm.example.com:{port}/v1/score", content=b"{}")
        assert answer.is_success
        assert [one for one in asked if one == "rm.example.com"] == ["rm.example.com"]
        (request,) = server.seen
        assert request.path == "/v1/score"


async def test_a_name_that_does_not_resolve_cannot_be_connected_to() -> None:
    async with httpx.AsyncClient(transport=PublicOnly(verify=False)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post("http://nothing.invalid", content=b"{}")
