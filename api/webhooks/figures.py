"""What the gateway counts of its posts to webhooks."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter

from api.webhooks.post import Outcome


class Figures(NamedTuple):
    """``attempts`` by outcome: delivered, refused (another status), unanswered (none at all)."""

    attempts: Counter
    given_up: Counter

    def note(self, outcome: Outcome, *, given_up: bool) -> None:
        """An attempt is over, and noted in the store."""
        failed = "unanswered" if outcome.status is None else "refused"
        self.attempts.labels("delivered" if outcome.error is None else failed).inc()
        if given_up:
            self.given_up.inc()


def webhook_figures(registry: CollectorRegistry) -> Figures:
    """At zero, with all outcomes, so that a first failure is an increase."""
    attempts = Counter(
        "prelogit_webhook_attempts",
        "Posts to webhooks, by what came of them: delivered, refused, unanswered.",
        ("outcome",),
        registry=registry,
    )
    for outcome in ("delivered", "refused", "unanswered"):
        attempts.labels(outcome)
    given_up = Counter(
        "prelogit_webhook_given_up",
        "Events that no webhook will be told of any more.",
        registry=registry,
    )
    return Figures(attempts, given_up)
