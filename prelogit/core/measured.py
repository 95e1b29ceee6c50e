"""What was measured of this machine once, kept in the home folder so that all processes agree."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

_FILE = "measured.json"


def read_measured(home: Path, machine: str | None = None) -> dict[str, Any]:
    """What is kept; nothing where it was measured on another machine than the one named."""
    try:
        kept = json.loads((home / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict) or (machine is not None and kept.get("machine") != machine):
        return {}
    return kept


def keep_measured(home: Path, kept: dict[str, Any]) -> None:
    """Write it whole or not at all; a folder that cannot be written to keeps nothing."""
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{_FILE}-", dir=home)
        with os.fdopen(handle, "w") as file:
            json.dump(kept, file)
        Path(name).chmod(0o644)
        Path(name).replace(home / _FILE)
