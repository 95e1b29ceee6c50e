"""One child process of the stack: what it is, how it is started and how it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LEASH = Path(__file__).with_name("leash.py")
_LINE_BYTES = 64 * 1024


@dataclass(frozen=True)
class ChildSpec:
    """A program to run. ``env`` is its whole environment; ``end`` is the signal that it heeds."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    end: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0


@dataclass(frozen=True)
class Running:
    """A started child; it leads a session and a process group of its own."""

    process: asyncio.subprocess.Process
    output: asyncio.StreamReader
    pipe: asyncio.ReadTransport

    def signal_group(self, number: int) -> None:
        """Signal the child and all that it has started; silent when they are gone."""
        # "Not permitted" is what macOS says of a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


async def spawn(spec: ChildSpec, marks: Mapping[str, str]) -> Running:
    """Start a child on the leash, with ``marks`` added to its environment.

    Must run in the main thread: the leash is tied to the thread that starts the child.
    """
    loop = asyncio.get_running_loop()
    # A pipe of our own: asyncio's would make the end of the process wait for the end of the
    # output, which an escaped grandchild can hold open.
    read_end, write_end = os.pipe()
    output = asyncio.StreamReader(limit=_LINE_BYTES)
    pipe, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(output), os.fdopen(read_end, "rb", buffering=0)
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *spec.argv),
            env={**spec.env, **marks},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            start_new_session=True,
        )
    finally:
        os.close(write_end)
    return Running(process, output, pipe)


async def read_line(output: asyncio.StreamReader) -> str | None:
    """The next line without its end, None at the end; an overlong line comes in pieces."""
    try:
        raw = await output.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        raw = error.partial
        if not raw:
            return None
    except asyncio.LimitOverrunError as error:
        raw = await output.read(max(error.consumed, 1))
    return raw.decode("utf-8", errors="replace").rstrip("\r\n")


def ended_how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
