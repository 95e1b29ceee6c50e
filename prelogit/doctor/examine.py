"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from prelogit.core.errors import LaunchError, ModelError
from prelogit.doctor import clock, machine, models, parts, store
from prelogit.doctor.finding import Finding, Wrong
from prelogit.launch.settings import UpSettings
from prelogit.wire.store_report import StoreReport

Check = Callable[[UpSettings], str]


def examine(settings: UpSettings) -> Iterator[Finding]:
    """All findings, one after the other as they are found."""
    seen: StoreReport | None = None

    def asked(settings: UpSettings) -> str:
        nonlocal seen
        seen = store.ask(settings)
        return store.told(settings)

    of_models: list[tuple[str, Check]] = [
        (label, partial(check, name=name))
        for name in settings.offered
        for label, check in (("model", models.model), ("memory", models.memory))
    ]
    checks: tuple[tuple[str, Check], ...] = (
        ("install", machine.install),
        ("device", machine.device),
        ("home", machine.home),
        ("disk", machine.disk),
        *of_models,
        ("store", asked),
        ("queue", parts.queue),
        ("clock", lambda settings: clock.compare(settings, seen)),
        ("reward", parts.reward),
        ("workers", lambda settings: store.workers(settings, seen)),
        ("gateway", parts.gateway),
    )
    for name, check in checks:
        try:
            yield Finding(name, True, check(settings))
        except (Wrong, LaunchError, ModelError) as wrong:
            yield Finding(name, False, str(wrong))
