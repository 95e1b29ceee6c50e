"""When a server that others ask wants to be asked again."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import httpx


def retry_after(answer: httpx.Response) -> float:
    """Seconds of the Retry-After header, which gives them or a date; 0 where it says nothing else."""
    said = answer.headers.get("retry-after", "")
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        return max(parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0
