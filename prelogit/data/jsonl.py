"""JSONL: one JSON object (or one JSON string, a prompt) a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from prelogit.core.errors import InputError
from prelogit.data.lines import text_lines
from prelogit.data.rows import Row


def jsonl_rows(raw: Iterable[bytes]) -> Iterator[Row]:
    """The values of all lines that are not blank.

    Raises: InputError: a line is not JSON.
    """
    for number, text in text_lines(raw):
        if text.lstrip().startswith("["):
            raise InputError(
                f"line {number}: is a JSON array: write one JSON object a line, without the "
                "brackets around them (jq -c '.[]' does it)"
            )
        try:
            value = json.loads(text)
        except ValueError as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(
                f"line {number}: is not JSON ({reason}): write one JSON object a line"
            ) from error
        except RecursionError as error:
            raise InputError(f"line {number}: is nested too deep: no prompt needs that") from error
        yield Row(f"line {number}", {"prompt": value} if isinstance(value, str) else value)
