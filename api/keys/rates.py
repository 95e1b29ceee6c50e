"""How often a key may ask: a bucket of requests that refills evenly.

The buckets are in the queue's server, so that all gateways share them. While it is down, each
gateway keeps its own.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import NamedTuple

from redis import Redis

from api.wakeups import QUEUE_FAILURES, make_producer
from prelogit.wire.wakeup import TRANSPORT

log = logging.getLogger("prelogit.api.keys")

# An answer must not wait for a queue that does not answer.
QUEUE_SECONDS = 0.25
AWAY_SECONDS = 5.0
# More than there are threads that answer requests (40), so that none is refused one: kombu's limit is 10.
CONNECTIONS = 64
_PREFIX = "prelogit:rate:"
# One step: other gateways take from the same bucket. The clock is the server's.
_TAKE = """
local most, per_second = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1]) or most, tonumber(kept[2]) or now
tokens = math.min(most, tokens + math.max(0, now - at) * per_second)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = (1 - tokens) / per_second end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens),
  'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * most / per_second) + 1000)
return string.format('%.6f', wait)
"""


class Bucket(NamedTuple):
    """What was left of a bucket at a moment (seconds)."""

    tokens: float
    at: float


def size(per_minute: int) -> int:
    """Requests that may come at once, after a pause: those of a quarter of a minute."""
    return max(1, math.ceil(per_minute / 4))


def take(bucket: Bucket | None, per_minute: int, now: float) -> tuple[Bucket, float]:
    """One request out of a bucket, None for a full one.

    Returns: what is left, and the seconds to wait, 0 when the request may go on.
    """
    most, per_second = size(per_minute), per_minute / 60
    tokens = float(most)
    if bucket is not None:
        tokens = min(most, bucket.tokens + max(0.0, now - bucket.at) * per_second)
    if tokens >= 1:
        return Bucket(tokens - 1, now), 0.0
    return Bucket(tokens, now), (1 - tokens) / per_second


class Rates:
    """The buckets of all keys; connects when it first has to."""

    def __init__(self, url: str) -> None:
        limits = {"socket_timeout": QUEUE_SECONDS, "socket_connect_timeout": QUEUE_SECONDS}
        quick = {**TRANSPORT, **limits, "max_connections": CONNECTIONS}
        self._connection = make_producer(url).connection_for_write(transport_options=quick)
        self._client: Redis | None = None
        self._own: dict[str, Bucket] = {}
        self._away_until = 0.0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Ends the connection."""
        self._connection.release()

    def take(self, key_id: str, per_minute: int) -> float:
        """Seconds that a request of this key has to wait; 0: it may go on. Off the event loop."""
        if time.monotonic() >= self._away_until:
            try:
                return self._shared(key_id, per_minute)
            except QUEUE_FAILURES as error:
                self._away_until = time.monotonic() + AWAY_SECONDS
                log.warning("rates are counted here alone: no queue (%s)", type(error).__name__)
        with self._lock:
            bucket, wait = take(self._own.get(key_id), per_minute, time.monotonic())
            self._own[key_id] = bucket
        return wait

    def _shared(self, key_id: str, per_minute: int) -> float:
        with self._lock:
            if self._client is None:
                self._client = self._connection.default_channel.client
            client = self._client
        arguments = (size(per_minute), per_minute / 60)
        return float(client.eval(_TAKE, 1, _PREFIX + key_id, *arguments))
