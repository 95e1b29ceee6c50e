"""What the reward service counts of each of its rewards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from prelogit.telemetry.metrics import make_registry

PREFIX = "prelogit_reward_service"
BATCH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RewardFigures(NamedTuple):
    """Of one reward. ``refused``: requests that were turned away with 503; ``errors``: that failed."""

    items: Counter
    batch_seconds: Histogram
    hits: Counter
    refused: Counter
    errors: Counter


class Standing(NamedTuple):
    """How a reward stands now; ``waiting``: responses in its queue."""

    loaded: bool
    waiting: int


class Metrics:
    """All of a process, in a registry of its own. The names of rewards are those of the settings."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = make_registry() if registry is None else registry
        self._items = self._counter("items", "Responses that were scored, remembered ones too.")
        self._hits = self._counter("cache_hits", "Responses whose score was remembered.")
        self._refused = self._counter(
            "refused", "Requests turned away with 503: too much waits, or it is not loaded."
        )
        self._errors = self._counter("errors", "Requests that a reward could not score.")
        self._batch_seconds = Histogram(
            f"{PREFIX}_batch_seconds",
            "Seconds in which a reward scored a batch; their count is that of the batches.",
            ("reward",),
            buckets=BATCH_SECONDS,
            registry=self.registry,
        )

    def of(self, reward: str) -> RewardFigures:
        """Figures of a reward; they are there, at zero, from now on."""
        return RewardFigures(
            items=self._items.labels(reward),
            batch_seconds=self._batch_seconds.labels(reward),
            hits=self._hits.labels(reward),
            refused=self._refused.labels(reward),
            errors=self._errors.labels(reward),
        )

    def watch(self, standing: Callable[[], dict[str, Standing]], kept: Callable[[], int]) -> None:
        """Show too how the rewards stand, and how many scores are remembered."""
        self.registry.register(_Standing(standing, kept))

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", meaning, ("reward",), registry=self.registry)


class _Standing(Collector):
    """Looks when Prometheus asks."""

    def __init__(
        self, standing: Callable[[], dict[str, Standing]], kept: Callable[[], int]
    ) -> None:
        self._standing, self._kept = standing, kept

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called at each scrape."""
        loaded = GaugeMetricFamily(
            f"{PREFIX}_loaded", "Whether a reward can score (1) or not (yet).", labels=("reward",)
        )
        waiting = GaugeMetricFamily(
            f"{PREFIX}_waiting_items", "Responses that wait for a reward.", labels=("reward",)
        )
        for reward, stands in self._standing().items():
            loaded.add_metric((reward,), float(stands.loaded))
            waiting.add_metric((reward,), float(stands.waiting))
        yield loaded
        yield waiting
        yield GaugeMetricFamily(
            f"{PREFIX}_cache_items", "Scores that are remembered.", value=float(self._kept())
        )
