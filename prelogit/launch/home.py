"""The home folder, and the lock that keeps it to one stack."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prelogit.core.errors import LaunchError
from prelogit.launch.note import LOCK, running_note, write_note

_LAST_CHILDREN_SECONDS = 15.0


def open_home(home: Path) -> None:
    """Make the folder (mode 700) if it is not there.

    Raises: LaunchError: it cannot be made or written to.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / LOCK).touch(mode=0o600)
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
    with (home / LOCK).open("r+") as file:
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


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _where(note: dict[str, Any]) -> str:
    return f" (process {note['pid']}, {note.get('url', 'no URL yet')})" if "pid" in note else ""
