"""Keeps children running, and never lets one outlive this process.

Three ropes hold a child: the kernel ends it with its parent (leash), a reaper process ends
its group when this process is gone, and what it leaves behind outside of its group is adopted
here (subreaper), known by a mark in its environment, and ended with the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prelogit.core.errors import LaunchError
from prelogit.launch.child import ChildSpec, Running, ended_how, read_line, spawn
from prelogit.launch.logs import Logs

MARK = "PRELOGIT_STACK"
_PR_SET_CHILD_SUBREAPER = 36
_REAPER = Path(__file__).with_name("reaper.py")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _SETTLED_SECONDS = 0.2, 10.0, 30.0
_FAILURES_AT_START = 3


class Supervisor:
    """Runs children until ``stop``; used as an asynchronous context in the main thread.

    ``folder`` is removed by the reaper at the end; ``held`` are file descriptors that stay
    open as long as a child may live.
    """

    def __init__(self, logs: Logs, folder: Path, held: Sequence[int] = ()) -> None:
        self._logs = logs
        self._folder, self._held = folder, tuple(held)
        self._running: dict[str, Running] = {}
        self._keepers: dict[str, tuple[ChildSpec, asyncio.Task[Any]]] = {}
        self._mark = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._stopping = asyncio.Event()
        self._settled = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reaper: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        await self._start_reaper()
        self._watch = asyncio.create_task(self._keep_reaper())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
        if self._watch is not None:
            self._watch.cancel()
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            await self._reaper.wait()

    def start(self, spec: ChildSpec) -> None:
        """Start a child and keep it running."""
        self._keepers[spec.name] = (spec, asyncio.create_task(self._keep(spec)))

    async def once(self, spec: ChildSpec) -> int:
        """Run a child to its end. Returns: its exit code."""
        run = asyncio.create_task(self._run(spec))
        self._keepers[spec.name] = (spec, run)
        code = await run
        self._keepers.pop(spec.name, None)
        return code

    def settle(self) -> None:
        """The start is over: from now on a child is restarted however often it ends."""
        self._settled = True

    async def failure(self) -> None:
        """Waits for a child that cannot be started.

        Raises: LaunchError: a child ended again and again before ``settle``; shows its last lines.
        """
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """End all children, last started first; kill what does not end in its grace period."""
        self._stopping.set()
        for name, (spec, keeper) in reversed(self._keepers.items()):
            if name in self._running:
                self._running[name].signal_group(spec.end)
            done, _ = await asyncio.wait({keeper}, timeout=spec.grace_seconds)
            if not done:
                self._logs.say(f"{name} does not end within {spec.grace_seconds:g} s: killed")
                self.kill(name)
            await asyncio.gather(keeper, return_exceptions=True)
        self._keepers.clear()
        _end_marked(self._mark)

    def kill(self, name: str | None = None) -> None:
        """Kill one child, or all of them, without any grace."""
        for running_name, running in self._running.items():
            if name in (None, running_name):
                running.signal_group(signal.SIGKILL)

    async def _keep(self, spec: ChildSpec) -> None:
        loop = asyncio.get_running_loop()
        pause, failures = _FIRST_PAUSE_SECONDS, 0
        while not self._stopping.is_set():
            started = loop.time()
            try:
                code = await self._run(spec)
            except OSError as error:  # no process or file descriptor is to be had right now
                self._logs.write(spec.name, f"error: cannot be started: {error.strerror}")
                code = 1
            if self._stopping.is_set():
                return
            if loop.time() - started > _SETTLED_SECONDS:
                pause, failures = _FIRST_PAUSE_SECONDS, 0
            failures += 1
            if failures >= _FAILURES_AT_START and not self._settled:
                self._give_up(spec.name, code)
                return
            self._logs.say(f"{spec.name} {ended_how(code)}: starts again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _run(self, spec: ChildSpec) -> int:
        child = await spawn(spec, {MARK: self._mark})
        self._running[spec.name] = child
        self._tell_reaper("+", child.process.pid)
        if self._stopping.is_set():  # asked to stop while it was being started
            child.signal_group(spec.end)
        copying = asyncio.create_task(self._copy(spec.name, child))
        code = await child.process.wait()
        child.signal_group(signal.SIGKILL)  # what it may have started
        self._tell_reaper("-", child.process.pid)
        del self._running[spec.name]
        await asyncio.wait({copying}, timeout=1.0)
        copying.cancel()
        child.pipe.close()
        return code

    async def _copy(self, name: str, child: Running) -> None:
        while (line := await read_line(child.output)) is not None:
            self._logs.write(name, line)

    def _give_up(self, name: str, code: int) -> None:
        if self._failed.done():
            return
        shown = "\n".join(f"  {line}" for line in self._logs.last(name))
        self._failed.set_exception(
            LaunchError(
                f"{name} cannot be started: it {ended_how(code)} {_FAILURES_AT_START} times in a "
                f"row. Its last lines (all of them: {self._logs.file(name)}):\n{shown}"
            )
        )

    async def _start_reaper(self) -> None:
        self._reaper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_REAPER), str(self._folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=self._held,
        )
        for child in self._running.values():
            self._tell_reaper("+", child.process.pid)

    async def _keep_reaper(self) -> None:
        while self._reaper is not None:
            await self._reaper.wait()
            await self._start_reaper()
            await asyncio.sleep(_FIRST_PAUSE_SECONDS)

    def _tell_reaper(self, sign: str, group: int) -> None:
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.write(f"{sign} {group}\n".encode())


def _end_marked(mark: str) -> None:
    """Kill the children of this process that carry the mark: they were orphaned to us."""
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, listing.read_text().split()):
            with contextlib.suppress(OSError):
                if f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
