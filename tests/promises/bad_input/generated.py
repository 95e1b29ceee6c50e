"""How hypothesis is to make cases here: so many new ones, none shrunk, kept or timed."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def generated(cases: int) -> settings:
    """A decorator below ``seed`` and above ``given``."""
    return settings(
        max_examples=cases,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
        database=None,
    )
