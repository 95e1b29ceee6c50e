"""The note that a running stack leaves in its home folder: pid, URL, and the port of its reward service."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

LOCK = "up.lock"


def write_note(lock: int, note: dict[str, Any]) -> None:
    """Note the pid and more in the lock's file, for whoever looks for a running stack."""
    text = json.dumps({"pid": os.getpid(), **note}).encode()
    os.pwrite(lock, text, 0)
    os.truncate(lock, len(text))


def running_note(home: Path) -> dict[str, Any]:
    """What the stack noted that runs on this folder; {} where none does."""
    try:
        note = json.loads((home / LOCK).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) and _alive(note.get("pid")) else {}


def _alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True
