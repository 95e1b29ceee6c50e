"""Metrics of the store and the queue, looked up when Prometheus asks, at most every few seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from api.deps import Gateway
from api.wakeups import QUEUE_FAILURES
from db import census
from db.census import Census
from db.session import reading
from prelogit.core.errors import PrelogitError

FRESH_SECONDS = 5.0


class Seen(NamedTuple):
    """What a look found; None where the store, or the queue, did not answer."""

    census: Census | None
    wakeups: dict[str, int] | None  # by model


class Surroundings(Collector):
    """Several Prometheus servers, or an impatient one, cost no more than one look each five seconds."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = Lock()
        self._seen: tuple[float, Seen] | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called at each scrape; never fails, for the rest of the metrics goes with it."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > FRESH_SECONDS:
                self._seen = time.monotonic(), Seen(self._count(), self._measure())
            seen = self._seen[1]
        yield _one("prelogit_store_up", "Whether the database answers.", seen.census is not None)
        yield _one("prelogit_queue_up", "Whether the queue answers.", seen.wakeups is not None)
        if seen.wakeups is not None:
            yield _many(
                "prelogit_queue_wakeups",
                "Wake-ups on the queue that no worker has taken yet.",
                ("model",),
                (((model,), count) for model, count in seen.wakeups.items()),
            )
        if seen.census is not None:
            yield from _told(seen.census, self._gateway.settings.offered)

    def _count(self) -> Census | None:
        silence = self._gateway.settings.worker_silence_seconds
        try:
            with reading(self._gateway.store) as session:
                return census.take(session, silence_seconds=silence)
        except (SQLAlchemyError, PrelogitError):
            return None

    def _measure(self) -> dict[str, int] | None:
        try:
            return self._gateway.publisher.lengths(self._gateway.settings.offered)
        except QUEUE_FAILURES:
            return None


def _told(found: Census, offered: Iterable[str]) -> Iterator[GaugeMetricFamily]:
    none = dict.fromkeys(offered, 0)
    yield _many(
        "prelogit_jobs",
        "Jobs that have not ended, by status.",
        ("status",),
        (
            ((status,), found.jobs.get(status, 0))
            for status in sorted({"queued", "running", "cancelling", *found.jobs})
        ),
    )
    waiting = {(model, status): 0 for model in none for status in ("queued", "running")}
    yield _many(
        "prelogit_prompts",
        "Prompts of jobs that have not ended, by model and status.",
        ("model", "status"),
        {**waiting, **found.prompts}.items(),
    )
    yield _many(
        "prelogit_oldest_waiting_seconds",
        "Seconds for which a job with queued prompts has waited for its turn, the longest; 0: none waits.",
        ("model",),
        (((model,), age) for model, age in {**none, **found.longest_waiting}.items()),
    )
    yield _many(
        "prelogit_workers",
        "Workers that were heard of lately, by the model that they serve.",
        ("model",),
        (((model,), count) for model, count in {**none, **found.workers}.items()),
    )
    yield _one(
        "prelogit_outbox_unsent",
        "Wake-ups in the store that are not on the queue yet.",
        found.unsent,
    )
    yield _one(
        "prelogit_webhook_waiting",
        "Events that webhooks are still to be told of.",
        found.deliveries,
    )
    yield _one(
        "prelogit_webhook_oldest_waiting_seconds",
        "Seconds since the first of them happened; 0: there is none.",
        found.oldest_delivery,
    )


def _one(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=float(value))


def _many(
    name: str,
    meaning: str,
    labels: tuple[str, ...],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for labelled, value in values:
        family.add_metric(labelled, float(value))
    return family
