"""Whole stacks to attack: one for a test alone, and a standing one with two workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.session import make_engine, migrate
from tests.workers.stack import Stack, running_stack, save_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder, and so the name, of a tiny random model."""
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def stack(tmp_path: Path, model_folder: str, fresh_sqlite: str) -> Iterator[Stack]:
    """Queue, store and reward service of this test alone, without a worker."""
    with running_stack(tmp_path, model_folder, fresh_sqlite) as stack:
        yield stack


@pytest.fixture
def each_stack(tmp_path: Path, model_folder: str, store_url: str) -> Iterator[Stack]:
    """The same on SQLite and on PostgreSQL."""
    with running_stack(tmp_path, model_folder, store_url) as stack:
        yield stack


@pytest.fixture(scope="session")
def _standing(tmp_path_factory: pytest.TempPathFactory, model_folder: str) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("standing")
    url = f"sqlite:///{folder / 'store.db'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    with running_stack(folder, model_folder, url) as stack:
        for worker in (stack.worker(), stack.worker()):
            worker.until_said("ready")
        yield stack


@pytest.fixture
def standing(_standing: Stack) -> Iterator[Stack]:
    """A stack with two workers that tests share and leave as they found it."""
    yield _standing
    _standing.reward.mood.clear()
    assert all(worker.running for worker in _standing.workers), "a worker did not live on"
