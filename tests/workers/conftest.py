"""A tiny model on disk, and the services around a worker that runs in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prelogit.engine.load import Model, load_model
from tests.workers.stack import Reward, save_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder, and so the name, of a tiny random model."""
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def model(model_folder: str) -> Model:
    return load_model(model_folder, device="cpu")


@pytest.fixture(scope="session")
def _reward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reward]:
    reward = Reward(tmp_path_factory.mktemp("reward"))
    yield reward
    reward.kill()


@pytest.fixture
def reward(_reward: Reward) -> Iterator[Reward]:
    """A running reward service in a good mood."""
    yield _reward
    _reward.mood.clear()
