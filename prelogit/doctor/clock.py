"""Whether the machines agree on the time: leases are ended, and workers missed, by the clock."""

from __future__ import annotations

import time
from contextlib import suppress

from prelogit.doctor.finding import Wrong
from prelogit.doctor.parts import queue_client
from prelogit.launch.settings import UpSettings
from prelogit.wire.store_report import Skew, StoreReport, skew

MOST_SECONDS = 2.0


def compare(settings: UpSettings, seen: StoreReport | None) -> str:
    """How far database and queue are from this machine's clock.

    Raises: Wrong: one is more than two seconds off, or a worker has signed in the future.
    """
    found: dict[str, Skew] = {}
    if seen is not None and seen.clock is not None:
        found["PostgreSQL"] = seen.clock
    if settings.redis_url and (measured := _queue(settings.redis_url)) is not None:
        found["the queue"] = measured
    for owner, ahead in (seen.ahead if seen is not None else {}).items():
        found[f"the worker {owner}"] = Skew(seconds=ahead, error_seconds=0.0)
    for who, one in found.items():
        if abs(one.seconds) - one.error_seconds > MOST_SECONDS:
            way = "ahead of" if one.seconds > 0 else "behind"
            raise Wrong(
                f"the clock of {who} is {abs(one.seconds):.1f} s {way} this machine's: set both by the "
                "same time server (NTP); leases would end too early, or too late"
            )
    told = ", ".join(f"{who} by {one.seconds:+.3f} s" for who, one in found.items())
    return f"differs: {told}" if told else "nothing on another machine to compare with"


def _queue(url: str) -> Skew | None:
    """None where it does not answer, which is told elsewhere."""
    import redis

    def now() -> float:
        seconds, micro = client.time()
        return float(seconds) + float(micro) / 1e6

    with suppress(redis.RedisError, ValueError, OSError):
        client = queue_client(url)
        client.ping()  # the connection is not to count
        return skew(now, time.time)
    return None
