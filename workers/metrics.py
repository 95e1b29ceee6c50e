"""What a worker counts, and the port that Prometheus reads it at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from prelogit.core.errors import (
    PrelogitError,
    RewardAnswerError,
    RewardError,
    RewardUnavailableError,
)
from prelogit.core.records import Iteration
from prelogit.engine.memory.rows_limit import RowsLimit
from prelogit.rewards.protocol import Score, Scores
from prelogit.telemetry.metrics import make_registry

REWARD_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
STATUSES = ("succeeded", "failed", "cancelled")
ROLES = ("steering", "held_out")


class Metrics:
    """Counters of one worker process, in a registry of its own.

    ``limit``: of the model's rows, which says what decodes now and how often memory ran out.
    """

    def __init__(self, limit: RowsLimit) -> None:
        self.registry = make_registry()
        made = self.registry
        self._iterations = _counter(made, "iterations", "Rounds that were stored.")
        self._candidates = _counter(made, "candidates", "Candidates of the rounds stored.")
        self._tokens = _counter(made, "generated_tokens", "Tokens of the rounds stored.")
        self._seconds = _counter(
            made,
            "round_seconds",
            "Seconds of the rounds stored: decode, reward (asked for), wait (for room or the reward).",
            ("part",),
        )
        for part in ("decode", "reward", "wait"):
            self._seconds.labels(part)
        self._ended = _counter(made, "prompts_ended", "Prompts that ended here.", ("status",))
        for status in STATUSES:
            self._ended.labels(status)
        self.lost = _counter(made, "lease_losses", "Prompts that another worker took over.")
        self._rewards = Histogram(
            "prelogit_worker_reward_seconds",
            "Seconds of a call for rewards, with all its tries.",
            ("role",),
            buckets=REWARD_SECONDS,
            registry=made,
        )
        self._refused = _counter(
            made,
            "reward_errors",
            "Calls for rewards that failed: unavailable, or answered with nonsense.",
            ("role", "kind"),
        )
        for role in ROLES:
            self._rewards.labels(role)
            for kind in ("unavailable", "answer", "other"):
                self._refused.labels(role, kind)
        live = Gauge("prelogit_worker_live_rows", "Samples that decode now.", registry=made)
        live.set_function(lambda: limit.live)
        most = Gauge(
            "prelogit_worker_most_rows", "Most samples that may decode now.", registry=made
        )
        most.set_function(lambda: limit.rows)
        made.register(_Halvings(limit))

    def iterated(self, row: Iteration) -> None:
        """A round was stored."""
        self._iterations.inc()
        self._candidates.inc(len(row.rewards))
        self._tokens.inc(row.tokens)
        for part in ("decode", "reward", "wait"):
            self._seconds.labels(part).inc(max(0.0, getattr(row.seconds, part)))

    def ended(self, status: str) -> None:
        """A prompt's end was stored."""
        self._ended.labels(status).inc()

    def timed(self, score: Score, role: str) -> Score:
        """The same reward, whose calls are timed and whose failures are counted."""

        async def scored(conversations: list[list[dict[str, str]]], responses: list[str]) -> Scores:
            with self._rewards.labels(role).time(), self._counted(role):
                return await score(conversations, responses)

        return scored

    @contextmanager
    def _counted(self, role: str) -> Iterator[None]:
        try:
            yield
        except RewardError as error:
            match error:
                case RewardUnavailableError():
                    kind = "unavailable"
                case RewardAnswerError():
                    kind = "answer"
                case _:
                    kind = "other"
            self._refused.labels(role, kind).inc()
            raise


class _Halvings(Collector):
    """The engine counts them; a counter of ours would have to be told of each."""

    def __init__(self, limit: RowsLimit) -> None:
        self._limit = limit

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Called at each scrape."""
        yield CounterMetricFamily(
            "prelogit_worker_memory_halvings",
            "How often memory ran out, and half of the rows went on.",
            value=self._limit.halvings,
        )


def listen(metrics: Metrics, host: str, port: int) -> Callable[[], None]:
    """Answer Prometheus from a thread of its own. Returns: what ends it.

    Raises: PrelogitError: the address cannot be listened on.
    """
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except OSError as error:
        raise PrelogitError(
            f"the metrics cannot be served at {host}:{port} ({error.strerror}): choose another "
            "PRELOGIT_METRICS_PORT or PRELOGIT_METRICS_HOST, or unset PRELOGIT_METRICS_PORT"
        ) from error

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def _counter(
    registry: CollectorRegistry, name: str, meaning: str, labels: tuple[str, ...] = ()
) -> Any:
    return Counter(f"prelogit_worker_{name}", meaning, labels, registry=registry)
