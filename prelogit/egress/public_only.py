"""Connections to public addresses alone, whatever a name resolves to at that moment.

A name may point to a private address, and to another one each time it is asked for. So it is
resolved here, checked, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl

import httpx

from prelogit.egress.urls import private


class PrivateAddressError(httpx.UnsupportedProtocol):
    """The host is on a private network; worth no second try."""


class PublicOnly(httpx.AsyncBaseTransport):
    """Sends requests on after their host was resolved to a public address."""

    def __init__(self, verify: ssl.SSLContext | bool) -> None:
        self._transport = httpx.AsyncHTTPTransport(verify=verify)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Raises: PrivateAddressError. httpx.ConnectError: the name does not resolve.
        """
        name = request.url.host
        address = await _resolve(name, request.url.port)
        request.url = request.url.copy_with(host=address)  # the header Host is written already
        request.extensions = {**request.extensions, "sni_hostname": name}
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


async def _resolve(name: str, port: int | None) -> str:
    """The first address of a host, all of which must be public."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        raise httpx.ConnectError("the host's name does not resolve") from None
    addresses = [str(one[4][0]).partition("%")[0] for one in found]
    if not addresses or any(private(ipaddress.ip_address(one)) for one in addresses):
        raise PrivateAddressError("the host is on a private network")
    return addresses[0]
