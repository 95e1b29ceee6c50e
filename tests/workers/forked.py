"""A service of a stack: a process like any other, whose libraries were imported before it began."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.workers.processes import Child, Process, environment, python

PR_SET_CHILD_SUBREAPER = 36
LIGHT = ("reward_service",)  # imports so little that no nursery is begun for it alone
# What libraries may read when they are imported: where a service is to have it otherwise, it gets
# an interpreter of its own. A fork takes the path that it is given.
SAME = {name: value for name, value in environment().items() if name != "PYTHONPATH"}


def service(module: str, log: Path, env: Mapping[str, str], *arguments: str) -> Child:
    """Starts ``python -P -m module arguments``; with every library imported already, where that can be."""
    able = sys.platform == "linux" and all(env.get(name) == SAME[name] for name in SAME)
    if able and (module not in LIGHT or _nursery.cache_info().currsize):
        return _Forked([module, *arguments], log, env)
    return Child([*python(module), *arguments], log, env)


class _Forked(Child):
    def _begun(
        self, command: Sequence[str | Path], log: Path, env: Mapping[str, str], user: str | None
    ) -> Process:
        return _nursery(os.getpid()).fork([str(part) for part in command], log, env)


@cache
def _nursery(owner: int) -> _Nursery:
    return _Nursery()


class _Nursery:
    """The process that is forked from; it ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._process = subprocess.Popen(
            python("tests.workers.nursery"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment(), **SAME},
            text=True,
        )
        atexit.register(self._close)

    def fork(self, command: list[str], log: Path, env: Mapping[str, str]) -> Process:
        """A new child of this process, which runs a module with its arguments."""
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        log.touch()
        order = {
            "module": command[0],
            "arguments": command[1:],
            "log": str(log),
            "folder": str(log.parent),
            "env": dict(env),
            "parent": os.getpid(),
        }
        with self._lock:
            self._adopt(True)
            try:
                orders.write(json.dumps(order) + "\n")
                orders.flush()
                pid = answers.readline()
            finally:
                self._adopt(False)
        assert pid, f"the nursery has ended with {self._process.wait()}"
        return _Adopted(int(pid))

    def _adopt(self, whether: bool) -> None:
        """Whether orphans of what this process has started become its own children."""
        if self._libc.prctl(PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")

    def _close(self) -> None:
        self._process.kill()
        self._process.communicate()


class _Adopted:
    """A child of this process that ``subprocess`` did not start."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        with self._lock:
            if self.returncode is None:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                if ended:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if end is not None and timeout is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
