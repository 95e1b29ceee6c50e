"""Child processes of a test: started with a clean environment, gone when the test is."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(true: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for a condition, fails with ``what`` when it does not come."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain until {what}")
        time.sleep(0.02)


class Process(Protocol):
    """What a child's process is asked."""

    pid: int
    returncode: int | Any | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


class Child:
    """A process and its log. Killed by the kernel, should the test process die first."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str],
        *,
        user: str | None = None,
    ) -> None:
        self.log = log
        self._process = self._begun(command, log, env, user)

    def _begun(
        self, command: Sequence[str | Path], log: Path, env: Mapping[str, str], user: str | None
    ) -> Process:
        parent = os.getpid()

        def dies_with_parent() -> None:
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
            if os.getppid() != parent:
                os._exit(1)

        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=log.parent,
                env=dict(env),
                user=user,
                preexec_fn=dies_with_parent,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def until_said(self, text: str) -> None:
        """Waits for a text in the log."""

        def there() -> bool:
            if text in self.said:
                return True
            assert self.running, f"ended with {self._process.returncode}:\n{self.said}"
            return False

        until(there, f"{text!r} is in:\n{self.said}")

    def send(self, sent: signal.Signals) -> None:
        """A signal, without waiting for what it does."""
        self._process.send_signal(sent)

    def end(self, sent: signal.Signals = signal.SIGTERM) -> int:
        """A signal, then the exit status."""
        self._process.send_signal(sent)
        return self.ended()

    def ended(self) -> int:
        """Waits for the exit status."""
        return self._process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """SIGKILL, harmless when it has ended."""
        self._process.kill()
        self._process.wait()


def python(module: str) -> list[str | Path]:
    """The command that starts one of the services, as in production."""
    return [sys.executable, "-P", "-m", module]


def environment(python_path: Sequence[Path] = (), **settings: object) -> dict[str, str]:
    """What a child gets: nothing of the developer's own settings, ``PRELOGIT_*`` as given."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *python_path))),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        **{f"PRELOGIT_{name.upper()}": str(value) for name, value in settings.items()},
    }
