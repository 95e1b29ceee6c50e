"""Which tokenizers a job may name for the reward server that it brings. Torch-free.

The worker loads what a job names, so an installation says beforehand what that may be: a path would tell
a job's author which folders this machine has, and any id would download what it likes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from prelogit.core.errors import InputError

ANY = "*"
EVERYTHING = (ANY, "/")
_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)


def _entries(told: tuple[str, ...]) -> tuple[str, ...]:
    for entry in told:
        if entry != ANY and not entry.startswith("/") and not _is_id(entry):
            raise ValueError(
                'each entry must be a Hugging Face id, a folder from the root on such as "/models", or '
                '"*" for every Hugging Face id'
            )
    return told


RewardTokenizers = Annotated[tuple[str, ...], AfterValidator(_entries)]


def refuse_tokenizer_unless_allowed(
    name: str, allowed: Sequence[str], *, field: str = "reward.tokenizer"
) -> None:
    """Whether a job may name this tokenizer.

    An entry allows itself; a folder also what lies below it, links followed; ``"*"`` every Hugging Face id
    that is no file or folder here.
    Raises: InputError: no entry allows it; names the setting, not the entries.
    """
    if _is_id(name) and not os.path.lexists(name):
        fine = name in allowed or ANY in allowed
    elif name.startswith("/") and "\0" not in name:
        place = Path(os.path.realpath(name))
        folders = [os.path.realpath(entry) for entry in allowed if entry.startswith("/")]
        fine = any(place.is_relative_to(folder) for folder in folders)
    else:
        fine = False  # a path whose beginning is up to where the worker was started
    if not fine:
        raise InputError(
            "this installation does not allow jobs to use that tokenizer: have its id, or its folder from the "
            "root on, put into PRELOGIT_REWARD_TOKENIZERS, or leave tokenizer out where the server applies "
            "its own chat template",
            field=field,
        )


def _is_id(name: str) -> bool:
    return _ID.fullmatch(name) is not None and ".." not in name and "--" not in name
