"""A supervisor in a process of its own, with small real children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, json, os, signal, sys
from pathlib import Path
from prelogit.launch.child import ChildSpec
from prelogit.launch.logs import Logs
from prelogit.launch.supervisor import Supervisor

async def main(folder, children):
    logs = Logs(folder / "logs", sys.stderr)
    private = folder / "private"
    private.mkdir()
    async with Supervisor(logs, private) as supervisor:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        for name, code in children.items():
            argv = (sys.executable, "-u", "-c", code)
            supervisor.start(ChildSpec(name, argv, dict(os.environ), grace_seconds=1.0))
        supervisor_failed = asyncio.create_task(supervisor.failure())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({supervisor_failed, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if supervisor_failed.done():
            sys.exit(str(supervisor_failed.exception()))
        supervisor_failed.cancel()

asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
"""


def marked(mark: str) -> set[int]:
    """Living processes that carry the mark in their environment."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def eventually(check: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Waits until the check holds; a guard against hanging, not a promise of speed."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@dataclass
class Stack:
    """A started supervisor; its children write to its log."""

    process: subprocess.Popen[str]
    folder: Path
    mark: str
    errors: Path

    def log(self) -> str:
        return self.errors.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.log().count(text) >= times, f"{text!r} in:\n{self.log()}")

    def until(self, check: Callable[[], object], what: str) -> None:
        eventually(check, what)

    def children(self, part: str = "") -> set[int]:
        """The supervisor's direct children whose command line holds the text."""
        found = set()
        for listing in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in listing.read_text().split():
                try:
                    if part in Path(f"/proc/{pid}/cmdline").read_text():
                        found.add(int(pid))
                except OSError:
                    continue
        return found

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait_gone(self) -> None:
        """Neither the supervisor nor anything that it has started lives."""
        self.process.wait(timeout=60)
        eventually(lambda: not marked(self.mark), f"left behind: {marked(self.mark)}")


@pytest.fixture
def start_stack(tmp_path: Path) -> Iterator[Callable[[Mapping[str, str]], Stack]]:
    stacks: list[Stack] = []

    def start(children: Mapping[str, str]) -> Stack:
        folder = tmp_path / f"stack-{len(stacks)}"
        folder.mkdir()
        mark = f"MARK_OF_TEST={folder}"
        errors = folder / "stderr"
        with errors.open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(folder), json.dumps(children)],
                env={**os.environ, "MARK_OF_TEST": str(folder)},
                stderr=err,
                text=True,
            )
        stacks.append(Stack(process, folder, mark, errors))
        return stacks[-1]

    yield start
    for stack in stacks:
        if stack.process.poll() is None:
            stack.signal(signal.SIGKILL)
        stack.wait_gone()
