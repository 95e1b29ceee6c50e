"""Whole stacks to attack: one for a test alone, and a standing one with two workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.session import make_engine, migrate
from tests.workers.services import save_model
from tests.workers.stack import Stack, running_stack


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
def postgres_stack(tmp_path: Path, model_folder: str, fresh_postgres: str) -> Iterator[Stack]:
    """The same on PostgreSQL, with two workers."""
    with running_stack(tmp_path, model_folder, fresh_postgres) as stack:
        yield stack.with_workers(2)


@pytest.fixture(scope="session")
def _standing(tmp_path_factory: pytest.TempPathFactory, model_folder: str) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("standing")
    url = f"sqlite:///{folder / 'store.db'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    with running_stack(folder, model_folder, url) as stack:
        yield stack
        living = [worker for worker in stack.workers if worker.running]
        for worker in living:
            worker.send(signal.SIGTERM)
        assert [worker.ended() for worker in living] == [0] * len(living)


@pytest.fixture
def standing(_standing: Stack) -> Iterator[Stack]:
    """A stack on SQLite that tests share, with two workers; those that were killed are replaced."""
    _standing.reward.mood.forget()
    yield _standing.with_workers(2)
    _standing.reward.mood.clear()


@pytest.fixture(params=["sqlite", "postgresql"])
def each_stack(request: pytest.FixtureRequest) -> Stack:
    """A stack with two workers, once on SQLite and once on PostgreSQL."""
    name = "standing" if request.param == "sqlite" else "postgres_stack"
    found = request.getfixturevalue(name)
    assert isinstance(found, Stack)
    return found
