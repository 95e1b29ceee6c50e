"""A gateway process on a queue and a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from db.session import make_engine, sessions
from tests.postgres import make_cluster
from tests.workers.processes import Child, environment, free_port, python
from tests.workers.services import Queue, save_model


class Stack(NamedTuple):
    """Addresses of what runs; ``pid``: the gateway's."""

    url: str
    pid: int
    database_url: str
    redis_url: str
    model: str
    folder: Path
    store: sessionmaker[Session]

    def post(self, prompts: int, **fields: object) -> str:
        """A job's id; its prompts differ in their length."""
        texts = [f"Why does it rain, {'and why ' * (number % 3)}on day {number}?"
                 for number in range(prompts)]  # fmt: skip
        body = {"prompts": texts, "max_new_tokens": 64, **fields}
        answer = httpx.post(f"{self.url}/v1/jobs", json=body, timeout=600)
        return str(answer.raise_for_status().json()["id"])


@contextmanager
def running(folder: Path, database: str, *, max_prompts: int) -> Iterator[Stack]:
    """Starts Valkey, the store ("sqlite" or "postgresql") and the gateway; ends them all."""
    with ExitStack() as ends:
        queue = Queue(folder)
        ends.callback(queue.close)
        url = f"sqlite:///{folder / 'store.db'}"
        if database == "postgresql":
            (folder / "postgres").mkdir()
            cluster = make_cluster(folder / "postgres")
            server = Child(cluster.argv, folder / "postgres.log", environment(), user=cluster.user)
            ends.callback(server.kill)
            server.until_said("ready to accept connections")
            url = _fresh(cluster.url(cluster.port))
        model, port = save_model(folder / "model"), free_port()
        gateway = Child(
            python("api"),
            folder / "gateway.log",
            environment(
                home=folder / "home", database_url=url, redis_url=queue.url, model=model,
                port=port, max_prompts=max_prompts, max_body_bytes=1000 * max_prompts + 10**6,
                reward_url=f"http://127.0.0.1:{free_port()}",
            ),
        )  # fmt: skip
        ends.callback(gateway.kill)
        gateway.until_said("Uvicorn running on")
        engine = make_engine(url)
        ends.callback(engine.dispose)
        yield Stack(
            f"http://127.0.0.1:{port}", gateway.pid, url, queue.url, model, folder,
            sessions(engine),
        )  # fmt: skip


def _fresh(url: str) -> str:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE load"))
    engine.dispose()
    return url.removesuffix("/postgres") + "/load"
