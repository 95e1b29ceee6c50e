"""Answers that were written to a file before: results, or one of the exports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prelogit.core.errors import InputError
from prelogit.data.prompt import prompt_of
from prelogit.data.read import file_rows
from prelogit.data.rows import Row
from prelogit.text import conversation

COLUMNS = ("prompt_id", "response", "messages", "instruction", "output", "prompt", "chosen")

Turns = list[dict[str, str]]


class Answer(NamedTuple):
    """One row. ``prompt_id``, ``turns``: None where the row does not say; ``response``: no answer."""

    prompt_id: str | None
    turns: Turns | None
    response: str | None


def read_answers(path: Path | str) -> list[Answer]:
    """All rows of a JSONL or Parquet file of results, or of an sft, preference or alpaca export.

    Raises: InputError: names the file, the line and what is wrong there.
    """
    try:
        answers = [_answer(row) for row in file_rows(path, COLUMNS)]
    except InputError as error:
        raise InputError(f"{path}: {error}", field=error.field) from error
    if not answers:
        raise InputError(f"{path}: holds no answer")
    return answers


def _answer(row: Row) -> Answer:
    value = row.value
    if not isinstance(value, Mapping):
        raise InputError(f"{row.place}: must be a JSON object")
    cells = {name: cell for name, cell in value.items() if cell is not None}
    if isinstance(cells.get("prompt_id"), str):
        return Answer(cells["prompt_id"], None, _text(row, cells.get("response")))
    if isinstance(cells.get("messages"), list) and len(cells["messages"]) > 1:
        *asked, last = cells["messages"]
        said = _text(row, last.get("content") if isinstance(last, Mapping) else last)
        return Answer(None, _turns(row, {"messages": asked}), said)
    if "instruction" in cells and "output" in cells:
        asked = {"prompt": cells["instruction"]}
        return Answer(None, _turns(row, asked), _text(row, cells["output"]))
    if "prompt" in cells and "chosen" in cells:
        chosen = cells["chosen"]
        if isinstance(chosen, list) and chosen and isinstance(chosen[0], Mapping):
            chosen = chosen[0].get("content")
        return Answer(None, _turns(row, {"prompt": cells["prompt"]}), _text(row, chosen))
    raise InputError(
        f"{row.place}: is no answer: it needs prompt_id and response (results), messages (sft), "
        "instruction and output (alpaca), or prompt and chosen (preference)"
    )


def _turns(row: Row, asked: dict[str, Any]) -> Turns:
    return conversation(prompt_of(Row(row.place, asked)))


def _text(row: Row, value: Any) -> str | None:
    """An answer; an empty one is an answer too, null is none."""
    if value is not None and not isinstance(value, str):
        raise InputError(f"{row.place}: the answer must be text")
    return value


def key_of(turns: Turns) -> str:
    """A conversation as text that is the same for the same turns."""
    return json.dumps(turns, ensure_ascii=False)
