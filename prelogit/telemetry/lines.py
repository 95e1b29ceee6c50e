"""Log lines as text for people or as JSON for machines; each says what it is about."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from prelogit.telemetry.place import here

LogFormat = Literal["text", "json"]

# What a line says of it already, as the message's own text.
SAID = {"job": ("job=",), "prompt": ("prompt=",), "iteration": ("iteration=", " k=")}
PLAIN = re.compile(r"[\w.~:+/=@-]+", re.ASCII)
FIELDS = ("job", "prompt", "iteration", "request")


def configure(form: LogFormat, *, process: str, text: str, level: int) -> None:
    """Log to standard error, in one form for all loggers of the process.

    Args: process: who writes, for JSON. text: the format of a line of text, as logging has it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process) if form == "json" else TextLines(text))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def about(record: logging.LogRecord) -> dict[str, Any]:
    """Job, prompt, iteration and request of a line: told with it (``extra``), else where it was written."""
    place = here()
    return {name: getattr(record, name, None) or getattr(place, name) for name in FIELDS}


class TextLines(logging.Formatter):
    """The line as ever; what it is about comes last, unless the message says it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging calls it so
        message = record.getMessage()
        record.message = message if message.isprintable() else "".join(map(_seen, message))
        line = super().formatMessage(record)
        for name, value in about(record).items():
            if value is not None and not any(said in message for said in SAID.get(name, ())):
                line += f" {name}={shown(name, value)}"
        return line


def _seen(character: str) -> str:
    """The character, or its escape: an address or a name from outside must not begin a line of its own."""
    if character in "\t " or character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def shown(name: str, value: object) -> str:
    """A value in a line of text; what came from outside may hold anything, line ends too."""
    plain = name != "prompt" and PLAIN.fullmatch(str(value))
    return str(value) if plain else repr(value)


class JsonLines(logging.Formatter):
    """One object a line; fields that there are none of are left out."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        found = about(record)
        failed = self.formatException(record.exc_info) if record.exc_info else None
        return line(
            record.created,
            level=record.levelname,
            process=self._process,
            logger=record.name,
            message=record.getMessage(),
            job=found["job"],
            prompt=found["prompt"],
            iteration=found["iteration"],
            request_id=found["request"],
            exception=failed,
        )


def line(created: float, **fields: Any) -> str:
    """An object with its time (RFC 3339, UTC) first. Args: created: Unix seconds."""
    time = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    told = {name: value for name, value in fields.items() if value is not None}
    # ASCII: half of a surrogate pair in a user's text must not break a line, nor a strange line end.
    return json.dumps({"time": time.replace("+00:00", "Z"), **told}, default=str)
