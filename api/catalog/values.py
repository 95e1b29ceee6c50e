"""The trained value networks that jobs of this installation can name, with their loss curves."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from prelogit.core.errors import InputError
from prelogit.value.header import ValueHeader, read_header, value_file, value_names


class ValueEntry(BaseModel):
    """A value network: what it is of, and how it was trained.

    explained: R² of its prediction from single pre-logits, on prompts that were held out.
    """

    id: str
    object: Literal["value"] = "value"
    explained: float
    header: ValueHeader


class ValueList(BaseModel):
    """``GET /v1/values``."""

    object: Literal["list"] = "list"
    data: list[ValueEntry]


def value_entries(home: Path) -> list[ValueEntry]:
    """All that can be read, by name."""
    entries = []
    for name in value_names(home):
        try:
            header = read_header(value_file(name, home))
        except InputError:  # a job that names it is told
            continue
        entries.append(ValueEntry(id=name, explained=header.explained, header=header))
    return entries
