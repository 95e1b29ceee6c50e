"""What a reward service says of its rewards (``GET /v1/rewards``); nice to know, and never needed."""

from __future__ import annotations

import asyncio
import math

import httpx
from pydantic import TypeAdapter, ValidationError

from prelogit.rewards.documents import TooLongError, json_of, whole
from prelogit.wire.scores import RewardInfo

SECONDS = 5.0
LARGEST_LISTING = 1024 * 1024  # bytes

_listing = TypeAdapter(list[RewardInfo])


async def told_bounds(
    client: httpx.AsyncClient, url: str, name: str | None
) -> tuple[float, float] | None:
    """Lowest and highest value of a reward; None where the service does not say both.

    Args:   url: of the service. name: the reward's; None: the only one.
    """
    try:
        async with asyncio.timeout(SECONDS), client.stream("GET", f"{url}/v1/rewards") as streamed:
            document = json_of(await whole(streamed, LARGEST_LISTING))
        rewards = _listing.validate_python(
            document.get("data") if isinstance(document, dict) else document
        )
    except (TimeoutError, httpx.HTTPError, TooLongError, ValidationError):
        return None
    found = [one for one in rewards if name is None or one.name == name]
    if len(found) != 1 or found[0].low is None or found[0].high is None:
        return None
    low, high = found[0].low, found[0].high
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None
