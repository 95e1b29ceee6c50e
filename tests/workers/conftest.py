"""A tiny model, a reward service, and a worker's desk in this process on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db.session import make_engine, sessions
from prelogit.engine.load import Model, load_model
from tests.rewards.conftest import good, serve  # noqa: F401 - fixtures
from tests.workers.services import Reward, save_model
from tests.workers.stack import post_job
from workers.desk import Desk
from workers.heartbeat import Heartbeat
from workers.metrics import Metrics
from workers.settings import Settings


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder, and so the name, of a tiny random model."""
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def model(model_folder: str) -> Model:
    # In bfloat16 a near tie may be decided another way in another batch.
    return load_model(model_folder, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def _reward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reward]:
    reward = Reward(tmp_path_factory.mktemp("reward"))
    yield reward
    reward.kill()


@pytest.fixture
def reward(_reward: Reward) -> Iterator[Reward]:
    """A running reward service in a good mood."""
    _reward.mood.forget()
    yield _reward
    _reward.mood.clear()


@pytest.fixture
def store(store_url: str) -> Iterator[sessionmaker[Session]]:
    """Sessions of a fresh store, once on SQLite and once on PostgreSQL."""
    engine = make_engine(store_url)
    yield sessions(engine)
    engine.dispose()


DeskMaker = Callable[..., Desk]


@pytest.fixture
def make_desk(store: sessionmaker[Session], model: Model, reward: Reward) -> Iterator[DeskMaker]:
    """Makes the desk of a worker, heart beating; fields of the settings may be given."""
    desks: list[Desk] = []

    def make(owner: str = "one", **fields: Any) -> Desk:
        given = {
            "reward_url": reward.url,
            "reward_probe": "off",  # tests count what is asked of the reward
            "model": model.name,
            "lease_seconds": 5.0,
            **fields,
        }
        settings = Settings(_env_file=None, **given)
        metrics = Metrics(model.limit)
        heartbeat = Heartbeat(
            store,
            owner=owner,
            model=model.name,
            ttl_seconds=settings.lease_seconds,
            on_loss=metrics.lost.inc,
        )
        heartbeat.start()
        desks.append(Desk(store, model, settings, owner, heartbeat, metrics))
        return desks[-1]

    yield make
    for desk in desks:
        desk.heartbeat.stop()


@pytest.fixture
def post(store: sessionmaker[Session], model: Model) -> Callable[..., tuple[str, str]]:
    """Stores a job of one group for a model; returns the ids of the job and of the group."""

    def post(prompts: list[Any], *, named: str = model.name, **fields: Any) -> tuple[str, str]:
        created = post_job(store, named, prompts, **fields)
        (group_id,) = created.group_ids
        return created.job_id, group_id

    return post
