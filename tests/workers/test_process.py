"""How a worker process starts, and how it says that it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.forked import service
from tests.workers.processes import environment


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        ({"redis_url": "redis+unix:///v.sock", "lease_seconds": -1}, 2, "PRELOGIT_LEASE_SECONDS"),
        (
            {"database_url": "postgresql://prelogit:hunter2@127.0.0.1:1/none"},
            1,
            "PostgreSQL at 127.0.0.1:1",
        ),
        ({"model": "/no/such/model"}, 1, "/no/such/model"),
    ],
)
def test_a_worker_that_cannot_start_says_why_and_ends(
    tmp_path: Path, settings: dict[str, object], status: int, said: str
) -> None:
    env = environment(**{"home": tmp_path, **settings})
    worker = service("workers", tmp_path / "log", env)
    try:
        assert worker.ended() == status
    finally:
        worker.kill()
    assert said in worker.said
    assert "Traceback" not in worker.said
    assert "hunter2" not in worker.said
