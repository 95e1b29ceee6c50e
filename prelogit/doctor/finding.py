"""What the doctor says of one thing that it looked at."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One line of the doctor: what was looked at, whether it is well, and details or the cure."""

    name: str
    ok: bool
    detail: str


class Wrong(Exception):  # noqa: N818 - it is no failure of the doctor's
    """What is wrong and the cure."""
