"""Ports: is one free, and which one is."""

from __future__ import annotations

import errno
import socket

from prelogit.core.errors import LaunchError


def claim_port(host: str, port: int, *, what: str, cure: str) -> int:
    """The port if a server may listen there, or any free one for port 0.

    Raises: LaunchError: it is taken or not allowed; names the setting.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise LaunchError(
            f"{what} cannot listen on {host!r}: there is no such address; {cure}"
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
        try:
            probe.bind(address)
        except OSError as error:
            reason = {
                errno.EADDRINUSE: "is taken by another program",
                errno.EACCES: "may only be used by root",
            }.get(error.errno or 0, f"cannot be used ({error.strerror})")
            raise LaunchError(f"port {port} on {host}, for {what}, {reason}: {cure}") from error
        return int(probe.getsockname()[1])
