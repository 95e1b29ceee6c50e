"""Which models an installation offers, as ``PRELOGIT_MODEL`` and ``PRELOGIT_MODELS`` name them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode


def model_names(given: object) -> object:
    """Names out of a setting: a JSON list, or a text with commas between; blank: None.

    Anything else is returned as it is, for the setting's type to judge.
    Raises: ValueError: it begins like a JSON list and is none.
    """
    if not isinstance(given, str):
        return given
    text = given.strip()
    if not text.startswith("["):
        return [name for part in text.split(",") if (name := part.strip())] or None
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(
            'must be a JSON list of names, ["one", "two"], or names with commas between'
        ) from None


# NoDecode: else the settings would take nothing but JSON.
ModelNames = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...] | None, NoDecode, BeforeValidator(model_names)
]


def offered_models(default: str, models: Sequence[str] | None) -> tuple[str, ...]:
    """Every offered model once, the default one among them; without a list it is the only one."""
    names = tuple(models or ())
    return tuple(dict.fromkeys(names if default in names else (default, *names)))
