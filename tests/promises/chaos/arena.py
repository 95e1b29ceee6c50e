"""The whole service as processes, with a proxy before everything that is spoken to."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
from sqlalchemy import Engine

from db.session import make_engine
from prelogit.launch.valkey import Valkey, find_server
from tests.postgres import make_cluster
from tests.promises.chaos import ledger
from tests.promises.chaos.part import Part
from tests.promises.chaos.proxy import Proxy
from tests.promises.chaos.reward import PAUSE
from tests.workers.processes import environment, free_port, until

LEASE_SECONDS = 3.0
WORKERS = ("worker-1", "worker-2")
REWARD_SECONDS = 0.1
START_SECONDS = 120.0


@dataclass(frozen=True)
class Arena:
    """What is attacked: processes, and links by the name of who is reached through them.

    ``engine`` and ``direct_url`` pass the proxies by: for those who look, not for those who work.
    """

    parts: dict[str, Part]
    links: dict[str, Proxy]
    engine: Engine
    url: str
    direct_url: str

    def tend(self) -> None:
        """Starts again what has ended by itself."""
        for part in self.parts.values():
            part.tend()


@contextmanager
def arena(folder: Path, model: str, database: str) -> Iterator[Arena]:
    """A running stack on ``sqlite`` or ``postgresql``; all of it is gone at the end."""
    with ExitStack() as cleanup:
        parts: dict[str, Part] = {}
        links: dict[str, Proxy] = {}

        def begin(part: Part) -> Part:
            parts[part.name] = part
            cleanup.callback(part.kill)
            part.start()
            return part

        def link(name: str, proxy: Proxy) -> Proxy:
            links[name] = proxy
            cleanup.callback(proxy.close)
            return proxy

        sockets = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="prelogit-")))
        valkey = Valkey(find_server(), sockets, folder / "valkey")
        begin(Part("queue", valkey.argv, folder / "queue.log", environment()))
        asyncio.run(valkey.ready())
        queue = link("queue", Proxy(path=str(valkey.socket)))
        password = urlsplit(valkey.url).password

        if database == "postgresql":
            data = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="prelogit-pg-")))
            cluster = make_cluster(data)
            begin(Part("store", cluster.argv, data / "log", environment(), user=cluster.user))
            direct = cluster.url(cluster.port)
            until(lambda: _answers(direct), "PostgreSQL answers", seconds=START_SECONDS)
            store_url = cluster.url(link("store", Proxy(port=cluster.port)).port)
        else:
            direct = store_url = f"sqlite:///{folder / 'store.db'}"

        reward_port = free_port()
        hosted = [{"name": "slow", "kind": "function", "path": "tests.promises.chaos.reward:slow"}]
        env = environment(rewards=json.dumps(hosted), reward_port=reward_port)
        env[PAUSE] = str(REWARD_SECONDS)
        begin(Part("reward", "reward_service", folder / "reward.log", env))
        reward = link("reward", Proxy(port=reward_port))

        shared = {
            "home": folder / "home",
            "model": model,
            "device": "cpu",
            "dtype": "float32",  # in bfloat16 a near tie may fall the other way in another batch
            "database_url": store_url,
            "redis_url": f"redis://:{password}@127.0.0.1:{queue.port}/0",
            "reward_url": f"http://127.0.0.1:{reward.port}",
        }
        port = free_port()
        env = environment(
            **shared, port=port, outbox_seconds=0.1, reconcile_seconds=0.5, resend_seconds=3.0
        )
        begin(Part("gateway", "api", folder / "gateway.log", env))
        gateway = link("gateway", Proxy(port=port))
        engine = make_engine(direct)
        cleanup.callback(engine.dispose)
        made = Arena(
            parts,
            links,
            engine,
            f"http://127.0.0.1:{gateway.port}",
            f"http://127.0.0.1:{port}",
        )
        until(lambda: _is_live(made.direct_url), "the gateway is up", seconds=START_SECONDS)
        ledger.install(engine)
        env = environment(
            **shared,
            lease_seconds=LEASE_SECONDS,
            reward_timeout_seconds=3,
            reward_patience_seconds=600,
            reward_probe="off",
            log_level="debug",
        )
        for name in WORKERS:
            begin(Part(name, "workers", folder / f"{name}.log", env))
        for name in WORKERS:
            until(
                lambda part=parts[name]: "ready owner" in part.said,
                f"{name} is ready: see {folder}",
                seconds=START_SECONDS,
            )
        yield made


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.Error:
        return False
    return True


def _is_live(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=5).is_success
    except httpx.TransportError:
        return False
