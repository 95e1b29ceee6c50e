"""The parts of a posted job as they were sent: its settings, and its prompts one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, Protocol

from pydantic_core import from_json

from api.body import more_values, parse_body
from api.jobs.posted import Posted
from prelogit.wire.jobs import JobRequest, JobSettings
from prelogit.wire.problem import FieldProblem

LONGEST_LINE = 2 * 2**20
# Of one line; a conversation of six thousand messages stays below.
MOST_VALUES = 20_000
_BOM = b"\xef\xbb\xbf"


class Sent(NamedTuple):
    """A prompt, not yet looked at; ``wrong``: why it cannot be read. ``line``: its line, from 1."""

    value: Any
    line: int | None = None
    wrong: str | None = None


class SentJob(Protocol):
    """A job as it was sent.

    settings: everything but its prompts, not yet looked at; a ``kind``, where they are right.
    count: of its prompts; None where only reading them tells. wrong: what is wrong beyond that.
    """

    settings: Any
    kind: type[JobSettings]
    count: int | None
    wrong: list[FieldProblem]

    def prompts(self) -> Iterator[Sent]:
        """All prompts, from the first; may be asked for again."""


class Whole:
    """A job that came as one JSON object. Raises (when made) ProblemError 422: it is not JSON."""

    def __init__(self, file: IO[bytes]) -> None:
        file.seek(0)
        self.settings = parse_body(file.read())
        self.kind: type[JobSettings] = JobRequest  # says of prompts what is wrong with them
        self.wrong: list[FieldProblem] = []
        self._prompts: list[Any] = []
        found = self.settings.get("prompts") if isinstance(self.settings, dict) else None
        if found and isinstance(found, list):
            self.kind, self._prompts = JobSettings, self.settings.pop("prompts")
        self.count: int | None = len(self._prompts)

    def prompts(self) -> Iterator[Sent]:
        return map(Sent, self._prompts)


class Lines:
    """A job that came as lines: its settings, then a prompt on each; blank ones do not count."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.settings: Any = {}
        self.kind: type[JobSettings] = JobSettings
        self.count: int | None = None
        self.wrong: list[FieldProblem] = []
        first = next(self._lines(0, 0), None)
        self._after, self._line = file.tell(), 0 if first is None else first.number
        told = "holds nothing" if first is None else self._read_settings(first)
        if told is not None:
            self.settings = {}
            cure = "the first line is the job without its prompts, {} where all has its default"
            self.wrong = [FieldProblem(field="body", message=f"{told}: {cure}")]

    def prompts(self) -> Iterator[Sent]:
        for line in self._lines(self._after, self._line):
            try:
                yield Sent(_value(line), line.number)
            except ValueError as error:
                yield Sent(None, line.number, str(error))

    def _read_settings(self, line: _Line) -> str | None:
        """Takes them from the first line, or tells what is wrong with it."""
        at = f"line {line.number:,}"
        try:
            self.settings = _value(line)
        except ValueError as error:
            return f"{at} {error}"
        if not isinstance(self.settings, dict) or {"prompt", "messages"} & self.settings.keys():
            told = "a prompt" if isinstance(self.settings, str | dict) else "no JSON object"
            return f"{at} is {told}"
        if "prompts" in self.settings:
            self.wrong = [
                FieldProblem(
                    field="prompts",
                    message=f"stands in {at}: leave it out there, and write each prompt on a line of "
                    "its own below",
                )
            ]
            del self.settings["prompts"]
        return None

    def _lines(self, at: int, number: int) -> Iterator[_Line]:
        """The lines that are not blank from a place in the file on; ``number``: of that before."""
        self._file.seek(at)
        while text := self._file.readline(LONGEST_LINE + 1):
            number += 1
            if number == 1:
                text = text.removeprefix(_BOM)
            if len(text) > LONGEST_LINE:
                while text and not text.endswith(b"\n"):
                    text = self._file.readline(LONGEST_LINE)
                yield _Line(number, None)
            elif text.strip():
                yield _Line(number, text)


class _Line(NamedTuple):
    number: int
    text: bytes | None  # None: it is too long


def sent(posted: Posted) -> SentJob:
    """The job in a body. Raises ProblemError 422: it is not JSON."""
    return Lines(posted.file) if posted.lines else Whole(posted.file)


def _value(line: _Line) -> Any:
    """What a line holds. Raises ValueError that says why it cannot be read, with the cure."""
    if line.text is None:
        raise ValueError(
            f"has more than {LONGEST_LINE:,} bytes: shorten it, or send a job of few prompts as JSON"
        )
    try:
        line.text.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8: save the file in UTF-8") from None
    if line.text.startswith(_BOM):
        raise ValueError("begins with a byte order mark: take it out where files are joined")
    try:
        value = from_json(line.text.rstrip())
    except ValueError as error:
        told = re.sub(r"at line \d+ column", "at column", str(error))
        raise ValueError(f"is not valid JSON, as each line has to be: {told}") from None
    if more_values(value, MOST_VALUES):
        raise ValueError(f"has more than {MOST_VALUES:,} JSON values: shorten it")
    return value
