"""From a row to a prompt, by the columns that it has.

``prompt`` (text or messages), ``messages``, ``chosen`` (HH-RLHF; everything before the last
assistant turn) or ``history`` (SHP), and optionally ``id``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from prelogit.core.errors import InputError
from prelogit.data.rows import Row
from prelogit.data.transcript import before_last_answer, messages_of
from prelogit.wire.jobs import PromptItem

COLUMNS = ("id", "prompt", "messages", "chosen", "history")


def prompt_of(row: Row) -> PromptItem:
    """The row's prompt.

    Raises: InputError: names the row's place, the column and the cure.
    """
    if not isinstance(row.value, Mapping):
        raise InputError(f'{row.place}: must be a JSON object such as {{"prompt": "…"}}')
    cells = {name: row.value[name] for name in COLUMNS if not _missing(row.value.get(name))}
    fields = {"id": _identifier(row.place, cells.pop("id"))} if "id" in cells else {}
    if "prompt" in cells and "messages" in cells:
        raise InputError(
            f"{row.place}: has both prompt and messages: keep one of the two columns",
            field="prompt",
        )
    for column, read in _READERS.items():
        if column not in cells:
            continue
        try:
            fields |= read(cells[column])
            _check_unicode(fields)
            return PromptItem.model_validate(fields)
        except InputError as error:
            raise InputError(f"{row.place}: {column} {error}", field=column) from error
        except ValidationError as error:
            raise _refused(row.place, column, error) from error
    raise InputError(
        f"{row.place}: no prompt: it needs a value in the column prompt or messages "
        "(or chosen, as in HH-RLHF, or history, as in SHP)",
        field="prompt",
    )


def _missing(value: Any) -> bool:
    """None, an empty cell, or the NaN that data frames write for one."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _identifier(place: str, value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a data frame's whole numbers, where other rows have none
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f"{place}: id must be text or a whole number", field="id")
    return str(value)


def _text(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"prompt": value}
    if isinstance(value, list):
        return _messages(value)
    raise InputError("must be text or a list of messages")


def _messages(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InputError("must be a JSON list of messages") from error
    if not isinstance(value, list):
        raise InputError("must be a list of messages")
    return {"messages": [_message(place, turn) for place, turn in enumerate(value, start=1)]}


def _message(place: int, turn: Any) -> dict[str, str]:
    if not isinstance(turn, Mapping) or not {"role", "content"} <= set(turn):
        raise InputError(f'message {place} must have "role" and "content"')
    more = sorted(k for k in turn if k not in ("role", "content") and not _missing(turn[k]))
    if more:
        raise InputError(f'message {place} has {more[0]!r}: only "role" and "content" are used')
    return {"role": turn["role"], "content": turn["content"]}


def _pair(value: Any) -> dict[str, Any]:
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return {"messages": before_last_answer(messages_of(value))}
    return {"messages": before_last_answer(_messages(value)["messages"])}


_READERS = {"prompt": _text, "messages": _messages, "chosen": _pair, "history": _text}


def _check_unicode(fields: Mapping[str, Any]) -> None:
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "holds half of a surrogate pair, which is no character: mend the escape \\ud800-\\udfff"
        ) from error


def _refused(place: str, column: str, error: ValidationError) -> InputError:
    first = error.errors()[0]
    if first["loc"][:1] == ("id",):
        return InputError(
            f"{place}: id must have 1 to 200 characters, without / \\ ? # and control characters",
            field="id",
        )
    where = ".".join(str(part) for part in first["loc"]) or column
    return InputError(f"{place}: {where}: {first['msg']}", field=where)
