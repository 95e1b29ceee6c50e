"""Receivers of webhooks, and gateways that may post to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Start
from tests.api.running import Running
from tests.api.webhooks.receiver import SECRET, Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.stop()


@pytest.fixture
def another() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.stop()


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, Any]:
    """What PRELOGIT_WEBHOOK_SECRETS says: one secret, in a file."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    return {"main": {"file": tmp_path / "secret"}}


@pytest.fixture
def posting(start: Start, secrets: dict[str, Any]) -> Callable[..., Running]:
    """Starts a gateway that may post to this machine."""

    def begin(**changes: Any) -> Running:
        known: dict[str, Any] = {
            "webhook_urls": ("http://127.0.0.1",),
            "webhook_secrets": secrets,
            "outbox_seconds": 0.05,
        }
        return start(**{**known, **changes})

    return begin
