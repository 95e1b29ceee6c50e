"""Plain text: every line that is not blank is a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prelogit.data.lines import text_lines
from prelogit.data.rows import Row


def plain_rows(raw: Iterable[bytes]) -> Iterator[Row]:
    """One prompt a line."""
    for number, text in text_lines(raw):
        yield Row(f"line {number}", {"prompt": text})
