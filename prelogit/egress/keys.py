"""Keys that an installation keeps for servers of others: in a variable or a file, never in a job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prelogit.core.errors import InputError

Text = Annotated[str, Field(min_length=1)]


class Place(BaseModel):
    """Where a key is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: Text | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("give either env (a variable's name) or file, and not both")
        return self


class Key(Place):
    """A key for servers, and the beginning of the URLs that it goes to."""

    url: Text


def read_key(name: str, place: Place, *, setting: str, field: str) -> str:
    """What the variable or the file holds, read now, so that a new one is taken up.

    Args:   setting, field: where the key is named, for the error.
    Raises: InputError: it is not there, or no text that a header can carry; does not show it.
    """
    try:
        if place.env is not None:
            held = os.environ[place.env]
        else:
            assert place.file is not None  # noqa: S101 - or it has a variable
            held = place.file.read_text(encoding="utf-8")
    except (KeyError, OSError, UnicodeDecodeError):
        raise InputError(
            f"the key {name!r} of {setting} cannot be read: check its "
            f"{'variable' if place.env is not None else 'file'}",
            field=field,
        ) from None
    held = held.strip()
    if not held or not held.isascii() or not held.isprintable() or " " in held:
        raise InputError(
            f"the key {name!r} of {setting} is empty, or no key: check what stands there",
            field=field,
        )
    return held
