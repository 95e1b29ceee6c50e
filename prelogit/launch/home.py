"""The home folder, and the lock that keeps it to one stack."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prelogit.core.errors import LaunchError

_LOCK = "up.lock"
_LAST_CHILDREN_SECONDS = 15.0


def open_home(home: Path) -> None:
    """Make the folder (mode 700) if it is not there.

    Raises: LaunchError: it cannot be made or written to.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / _LOCK).touch(mode=0o600)
    except OSError as error:
        raise LaunchError(
            f"the home folder {home} cannot be used ({error.strerror}): set PRELOGIT_HOME or --home "
            "to a folder that this user may write to"
        ) from error


@contextmanager
def locked(home: Path) -> Iterator[int]:
    """Hold the home folder. Yields the lock's descriptor: who inherits it holds it too.

    Raises: LaunchError: another stack runs on this folder.
    """
    with (home / _LOCK).open("r+") as file:
        deadline = time.monotonic() + _LAST_CHILDREN_SECONDS
        while not _try_lock(file.fileno()):
            other = running_note(home)
            # After a killed supervisor its reaper holds the lock for the last seconds of its
            # children; only a living one means that the folder is in use.
            if other or time.monotonic() > deadline:
                raise LaunchError(
                    f"`prelogit up` runs on {home} already"
                    f"{_where(other)}: stop it, or give this one another folder by --home "
                    "(and another --port)"
                )
            time.sleep(0.1)
        write_note(file.fileno(), {})
        try:
            yield file.fileno()
        finally:
            os.truncate(file.fileno(), 0)


def write_note(lock: int, note: dict[str, Any]) -> None:
    """Note the pid and more in the lock, for whoever finds the folder in use."""
    text = json.dumps({"pid": os.getpid(), **note}).encode()
    os.pwrite(lock, text, 0)
    os.truncate(lock, len(text))


def running_note(home: Path) -> dict[str, Any]:
    """The pid and URL of the stack that runs on this folder; {} where none does."""
    try:
        note = json.loads((home / _LOCK).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) and _alive(note.get("pid")) else {}


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _where(note: dict[str, Any]) -> str:
    return f" (process {note['pid']}, {note.get('url', 'no URL yet')})" if "pid" in note else ""
