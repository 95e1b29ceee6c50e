"""JSON lines that survive a kill: appended whole, and cut off where the last was left half-written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[Any]:
    """All whole lines; none where there is no file. A torn last line is removed."""
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        with path.open("r+b") as file:
            file.truncate(whole)
    return [json.loads(line) for line in text[:whole].splitlines() if line.strip()]


def append_line(path: Path, value: Any) -> None:
    """On disk when this returns."""
    with path.open("ab") as file:
        file.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
