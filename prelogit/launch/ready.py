"""Wait until the gateway says that every part is fine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

_PAUSE_SECONDS = 0.25
_LONG_SECONDS = 30.0


def reachable(host: str, port: int) -> str:
    """The URL by which this machine reaches a server that listens on ``host``."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def wait_ready(url: str, token: str, on_wait: Callable[[str], None]) -> None:
    """Returns once ``/health/ready`` answers 200; ``on_wait`` hears each new reason to wait.

    token: opens that route where the gateway asks for keys. Names of parts alone at first; once the start takes long, also what is wrong with them.
    """
    told, loop = "", asyncio.get_running_loop()
    began = loop.time()
    # trust_env off: a proxy set for the internet must not be asked for this machine.
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=url, timeout=10.0, trust_env=False, headers=headers
    ) as client:
        while True:
            try:
                answer = await client.get("/health/ready")
            except httpx.TransportError:
                reason = "gateway"
            else:
                if answer.status_code == httpx.codes.OK:
                    return
                reason = _missing_parts(answer, in_full=loop.time() - began > _LONG_SECONDS)
            if reason != told:
                told = reason
                on_wait(reason)
            await asyncio.sleep(_PAUSE_SECONDS)


def _missing_parts(answer: httpx.Response, *, in_full: bool) -> str:
    try:
        parts: dict[str, Any] = answer.json()["parts"]
        wrong = {name: part["problem"] for name, part in parts.items() if not part["ok"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return "gateway"
    return "; ".join(f"{name}: {wrong[name]}" for name in wrong) if in_full else ", ".join(wrong)
