"""Server-sent events: from lines to events, and where to go on after the connection was cut."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from prelogit.core.errors import ServiceError
from prelogit.wire.jobs import ENDED


class Event(NamedTuple):
    """One event of a job: kind is "job", "iteration" or "result"; ids count up."""

    id: int
    kind: str
    data: dict[str, Any]


class Trail:
    """Reads the lines of a stream, which may come from several connections."""

    def __init__(self, after: int = 0) -> None:
        self.last = after
        self.ended = False  # the last "job" event said that the job has ended
        self._fields: dict[str, str] = {}

    def begin(self) -> None:
        """A new connection: forget half an event."""
        self._fields = {}

    def feed(self, line: str) -> Event | None:
        """The event that this line completes, if it does. Raises ServiceError: it is none of a gateway's."""
        if line:
            name, _, value = line.partition(":")
            if name:  # a line that begins with a colon is a comment
                self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        event = self._event(fields)
        self.last = event.id
        if event.kind == "job":
            self.ended = event.data.get("status") in ENDED
        return event

    def _event(self, fields: dict[str, str]) -> Event:
        try:
            number, data = int(fields.get("id", self.last)), json.loads(fields["data"])
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise ServiceError(
                "an event of the job cannot be read, so that no Prelogit gateway of this version has "
                "written it: check the URL, and use client and gateway of the same version",
                status=200,
            )
        return Event(number, fields.get("event", ""), data)
