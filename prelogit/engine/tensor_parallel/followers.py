"""The processes that a tensor-parallel model starts beside its own: they end when it ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

import prelogit

_HOST = "127.0.0.1"


def listen(size: int, timeout: timedelta) -> tuple[Any, int]:
    """The store where the team meets, on a free port of the loopback address."""
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        listener.listen(128)
        port = int(listener.getsockname()[1])
        store = dist.TCPStore(  # type: ignore[attr-defined]
            _HOST,
            port,
            size,
            is_master=True,
            timeout=timeout,
            wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )
    return store, port


class Followers:
    """Ranks 1 to size - 1 on this machine, device ``first`` being the leader's.

    Each holds the read end of a pipe whose write end is here, and ends when that closes: however
    this process ends, the kernel closes it.
    """

    def __init__(self, size: int, port: int, first: int, call: dict[str, Any]) -> None:
        root = str(Path(prelogit.__file__).parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._processes = []
        for rank in range(1, size):
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "prelogit.engine.tensor_parallel.follower"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # the leader's answers may stand there; errors show
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "RANK": str(rank),
                    "LOCAL_RANK": str(first + rank),
                    "WORLD_SIZE": str(size),
                    "MASTER_ADDR": _HOST,
                    "MASTER_PORT": str(port),
                },
            )
            self._processes.append(process)
            if process.stdin is not None:
                process.stdin.write(json.dumps(call).encode() + b"\n")
                process.stdin.flush()

    def gone(self, *, patience_seconds: float = 0.0) -> str:
        """What is to be said of one that has ended; empty when all live (waits a while for one)."""
        deadline = time.monotonic() + patience_seconds
        while True:
            for rank, process in enumerate(self._processes, 1):
                if process.poll() is not None:
                    return (
                        f"process {rank} of a tensor-parallel model's {len(self._processes) + 1} "
                        f"has ended (exit status {process.returncode}; its own error stands in "
                        "the log): load the model again"
                    )
            if time.monotonic() >= deadline:
                return ""
            time.sleep(0.02)

    def watch(self, report: Callable[[str], None]) -> None:
        """Call ``report`` from a thread when the first of them ends."""
        told = threading.Lock()

        def wait(process: subprocess.Popen[bytes]) -> None:
            process.wait()
            if told.acquire(blocking=False):
                report(self.gone())

        for process in self._processes:
            threading.Thread(target=wait, args=(process,), daemon=True).start()

    def end(self, *, patience_seconds: float) -> None:
        """Wait so long for them to end by themselves, then end them."""
        deadline = time.monotonic() + patience_seconds
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.wait()
        self.let_go()

    def let_go(self) -> None:
        """Close the pipes, as the kernel does when this process ends."""
        for process in self._processes:
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()


@contextmanager
def local_environment(first: int) -> Iterator[None]:
    """What transformers and gloo read from the environment while a model is loaded."""
    told = {"LOCAL_RANK": str(first)}
    if sys.platform == "linux":
        told["GLOO_SOCKET_IFNAME"] = "lo"  # one machine: nothing of it on the network
    told = {name: value for name, value in told.items() if name not in os.environ}
    os.environ.update(told)
    try:
        yield
    finally:
        for name in told:
            os.environ.pop(name, None)
