"""How many prompts are searched at a time."""

from __future__ import annotations

from typing import NamedTuple


class Together(NamedTuple):
    """So many prompts, and more while fewer rows than wanted decode.

    A round ends with its longest sample; by then most of its rows are free for another prompt.
    """

    prompts: int
    rows: int
