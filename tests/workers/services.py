"""The services beside a worker, for real: a tiny model on disk, the queue, the reward service."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import httpx
from transformers import LlamaConfig

from prelogit.launch.valkey import Valkey, find_server
from tests import tiny
from tests.workers import moody
from tests.workers.forked import service
from tests.workers.processes import Child, environment, free_port, until

CONTEXT = 256


def save_model(folder: Path) -> str:
    """A tiny random model with its tokenizer in a folder; the folder is its name."""
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=257,
        max_position_embeddings=CONTEXT,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=0,
    )
    tiny.language_model(config).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return str(folder)


class Queue:
    """The embedded Valkey, with its append-only file; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "valkey.log"
        # A unix socket's path must be short, and pytest's folders are not.
        self._sockets = tempfile.TemporaryDirectory(prefix="prelogit-")
        self._data = folder / "valkey"
        self._valkey = Valkey(find_server(), Path(self._sockets.name), self._data)
        self.url = self._valkey.url
        self.start()

    def start(self) -> None:
        """Starts the server on what it had written before."""
        self._server = Child(self._valkey.argv, self._log, environment())
        asyncio.run(self._valkey.ready())

    def kill(self) -> None:
        """SIGKILL."""
        self._server.kill()

    def forget(self) -> None:
        """Loses what a killed server had written."""
        shutil.rmtree(self._data)
        self._data.mkdir()

    def close(self) -> None:
        """Ends it for good."""
        self.kill()
        self._sockets.cleanup()


class Reward:
    """A reward service process that hosts the moody function and a second one; it can go down and
    come back."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.mood = moody.Mood(folder)
        self.start()

    def start(self) -> None:
        """Starts it on the same port and waits until it is ready."""
        hosted = [
            {"name": name, "kind": "function", "path": f"tests.workers.moody:{function}"}
            for name, function in (("moody", "score"), ("short", "short"))
        ]
        env = environment(rewards=json.dumps(hosted), reward_port=self._port)
        env[moody.FOLDER] = str(self._folder)
        self._service = service("reward_service", self._folder / "reward.log", env)
        until(self._ready, f"the reward service is ready: {self._service.said}")

    def _ready(self) -> bool:
        assert self._service.running, self._service.said
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL."""
        self._service.kill()
