"""A job that was accepted the instant before its gateway was killed is found, and run."""

from __future__ import annotations

from pathlib import Path

import httpx
from sqlalchemy.orm import Session, sessionmaker

from db.session import make_engine, sessions
from tests.api.worker import Worker
from tests.workers.forked import service
from tests.workers.processes import Child, environment, free_port

BODY = {"prompts": ["Who was here?", "And who is now?"], "reward": {"name": "moody"}}


def gateway(folder: Path, model: str, store_url: str, port: int) -> Child:
    """A gateway process that answers. Its queue is down, so that the store alone remembers."""
    settings = environment(
        home=folder / "home",
        database_url=store_url,
        redis_url=f"redis://127.0.0.1:{free_port()}/0",
        model=model,
        port=port,
    )
    child = service("api", folder / f"gateway-{port}.log", settings)
    child.until_said("Application startup complete")
    return child


def post(port: int) -> httpx.Response:
    url = f"http://127.0.0.1:{port}/v1/jobs"
    return httpx.post(url, json=BODY, headers={"Idempotency-Key": "one"}, timeout=60)


def test_a_job_accepted_the_instant_before_is_found_and_run(
    tmp_path: Path, model_folder: str, store_url: str
) -> None:
    first, second = free_port(), free_port()
    killed = gateway(tmp_path, model_folder, store_url, first)
    accepted = post(first)
    killed.kill()
    assert accepted.status_code == 202
    heir = gateway(tmp_path, model_folder, store_url, second)
    try:
        found = httpx.get(f"http://127.0.0.1:{second}/v1/jobs/{accepted.json()['id']}", timeout=60)
        assert found.json()["request"] == accepted.json()["request"]
        assert post(second).json()["id"] == accepted.json()["id"]
        engine = make_engine(store_url)
        store: sessionmaker[Session] = sessions(engine)
        Worker(store).run_all()
        engine.dispose()
        done = httpx.get(f"http://127.0.0.1:{second}{found.json()['links']['self']}", timeout=60)
        assert done.json()["status"] == "succeeded"
    finally:
        heir.kill()
