"""A real gateway on SQLite for the tests of the client and of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from prelogit import Client
from tests.api.running import Running, free_port
from tests.api.worker import Worker
from tests.workers.services import save_model


class Gateway:
    """A running gateway, with a worker that answers when it is told to."""

    def __init__(self, folder: Path, model: str, **changes: object) -> None:
        (folder / "webhook-secret").write_text("a-secret-that-is-long-enough")
        known = {
            "home": folder / "home",
            "database_url": f"sqlite:///{folder / 'store.db'}",
            "redis_url": f"redis://127.0.0.1:{free_port()}/0",
            "reward_url": f"http://127.0.0.1:{free_port()}",
            "model": model,
            "poll_seconds": 0.02,
            "reconcile_seconds": 3600,
            "webhook_secrets": {"main": {"file": folder / "webhook-secret"}},
        }
        self.running = Running(Settings(_env_file=None, **{**known, **changes}))
        self.url = str(self.running.client.base_url).rstrip("/")
        self.worker = Worker(self.running.inside.store)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny random model."""
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def gateway(tmp_path: Path, model_folder: str, clean_environment: None) -> Iterator[Gateway]:
    found = Gateway(tmp_path, model_folder)
    yield found
    found.running.stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with Client(gateway.url) as found:
        yield found


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the outside reaches a test."""
    import os

    for name in [name for name in os.environ if name.startswith("PRELOGIT_")]:
        monkeypatch.delenv(name)
