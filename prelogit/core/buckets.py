"""The sizes that steps on a GPU are rounded up to, and what is kept in memory of such sizes.

A captured step repeats itself on fixed memory, so all suffixes lie in one slab of rows and tokens
and all live prompts, a second time, in another.
"""

from __future__ import annotations

ROWS, PROMPTS, WIDTH, PREFIX, SUFFIX = 8, 1, 8, 64, 32  # the smallest buckets
GRAPHS = 32  # most captured functions that are kept


def doubled(size: int, least: int) -> int:
    """The smallest of least, 2 least, 4 least, .. that holds ``size``."""
    while least < size:
        least *= 2
    return least


def halfway(size: int, least: int) -> int:
    """The same with a stop halfway between two doublings: at most a third of it is padding."""
    whole = doubled(size, least)
    half = whole // 4 * 3
    return half if whole > least and half >= size else whole


def whole(size: int, least: int) -> int:
    """The smallest multiple of ``least`` that holds ``size``."""
    return -(-size // least) * least


def suffix_tokens(rows: int, longest: int) -> int:
    """Tokens that the slab of suffixes has room for: so many rows, the longest of so many tokens."""
    return halfway(rows, ROWS) * whole(longest, SUFFIX)


def prompt_tokens(prompts: int, longest: int) -> int:
    """Tokens that the slab of prompts has room for: all as long as the longest."""
    return doubled(prompts, PROMPTS) * halfway(longest, PREFIX)
