"""The lines of all children: on the terminal with their names, and each in a file of its own."""

from __future__ import annotations

import os
import time
from collections import deque
from logging import INFO, LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from prelogit.telemetry.lines import LogFormat
from prelogit.telemetry.lines import line as json_line

_FILE_BYTES = 10 * 1024 * 1024
_COLOURS = ("36", "33", "35", "32", "34", "31")
_REMEMBERED = 20


class Logs:
    """Writes lines to ``out`` and to ``FOLDER/NAME.log`` (at most 20 MiB a child).

    ``form``: "text", or "json" for one object a line, also of what a child says as text.
    """

    def __init__(self, folder: Path, out: IO[str], form: LogFormat = "text") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._form = folder, form
        self._out: IO[str] | None = out
        self._coloured = out.isatty() and not os.environ.get("NO_COLOR")
        self._files: dict[str, RotatingFileHandler] = {}
        self._last: dict[str, deque[str]] = {}

    def write(self, name: str, line: str) -> None:
        """One line of one child; blank ones are left out."""
        if not line.strip():
            return
        if name not in self._files:
            self._files[name] = RotatingFileHandler(
                self.file(name), maxBytes=_FILE_BYTES, backupCount=1, encoding="utf-8", delay=True
            )
            self._last[name] = deque(maxlen=_REMEMBERED)
        self._last[name].append(line)
        if self._form == "json" and not line.startswith('{"time":'):
            line = json_line(time.time(), level="INFO", process=name, logger=name, message=line)
        self._files[name].emit(LogRecord(name, INFO, "", 0, line, None, None))
        self._show(name, line)

    def say(self, line: str) -> None:
        """A line of the supervisor itself."""
        self.write("prelogit", line)

    def last(self, name: str) -> list[str]:
        """The child's latest lines."""
        return list(self._last.get(name, ()))

    def file(self, name: str) -> Path:
        """Where a child's lines are kept."""
        return self.folder / f"{name}.log"

    def close(self) -> None:
        """Close the files."""
        for handler in self._files.values():
            handler.close()

    def _show(self, name: str, line: str) -> None:
        if self._out is None:
            return
        label = f"{name:<9}| "
        if self._form == "json":
            label = ""
        elif self._coloured:
            colour = _COLOURS[list(self._files).index(name) % len(_COLOURS)]
            label = f"\x1b[{colour}m{label[:-1]}\x1b[0m "
        try:
            self._out.write(f"{label}{line}\n")
            self._out.flush()
        except OSError:
            self._out = None  # the terminal or pipe is gone; the files go on
