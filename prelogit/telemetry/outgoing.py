"""What a worker tells its own reward service beside a request, so that their logs can be read together."""

from __future__ import annotations

from prelogit.telemetry import tracing
from prelogit.telemetry.baggage import packed
from prelogit.telemetry.place import here


def outgoing_headers() -> dict[str, str]:
    """Headers for a request that is sent from here. Not for servers of others: they tell job ids."""
    told = {"baggage": packed(here()), tracing.HEADER: tracing.traceparent()}
    return {name: value for name, value in told.items() if value}
