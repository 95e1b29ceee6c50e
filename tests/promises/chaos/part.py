"""A process of the stack that can be killed, stopped and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.workers.forked import service
from tests.workers.processes import Child


class Part:
    """One process and all that it started; its log goes on over its lives.

    ``command``: what is run, or the module of a service of the stack.
    """

    def __init__(
        self,
        name: str,
        command: str | Sequence[str | Path],
        log: Path,
        env: Mapping[str, str],
        *,
        user: str | None = None,
    ) -> None:
        self.name = name
        self._command, self._log, self._env, self._user = command, log, env, user
        self._child: Child | None = None
        self._wanted = False
        self.ended_itself = 0

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Starts it; whether it is ready is for others to see."""
        self._wanted = True
        if isinstance(self._command, str):
            self._child = service(self._command, self._log, self._env)
        else:
            self._child = Child(self._command, self._log, self._env, user=self._user)

    def tend(self) -> None:
        """Starts it again where it has ended by itself, as a supervisor does."""
        if self._wanted and self._child is not None and not self._child.running:
            self.ended_itself += 1
            self.start()

    def kill(self) -> None:
        """SIGKILL to all of it; it stays down until it is started."""
        self._wanted = False
        if self._child is not None:
            self._signal(signal.SIGKILL)
            self._child.kill()

    def stop(self) -> None:
        """SIGSTOP to all of it."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT to all of it."""
        self._signal(signal.SIGCONT)

    def _signal(self, sent: signal.Signals) -> None:
        if self._child is None or not self._child.running:
            return
        for pid in (self._child.pid, *_children(self._child.pid)):
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                continue


def _children(pid: int) -> list[int]:
    """All descendants: PostgreSQL's are in process groups of their own."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            mine = [int(child) for child in listing.read_text().split()]
        except OSError:
            continue
        for child in mine:
            found += [child, *_children(child)]
    return found
