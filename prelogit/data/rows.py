"""A row of a dataset file with the place where it stands."""

from __future__ import annotations

from typing import Any, NamedTuple


class Row(NamedTuple):
    """``place`` is what a user can look up ("line 7", "row 7"); ``value`` is what stands there."""

    place: str
    value: Any
