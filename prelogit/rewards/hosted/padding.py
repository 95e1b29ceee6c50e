"""Rows of tokens into batches: sorted by length, right-padded, masked.

Dimensions: B rows of a batch, L tokens of its longest row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def batches(lengths: Sequence[int], *, rows: int, tokens: int) -> Iterator[list[int]]:
    """Places of the rows, shortest first, in batches.

    Args: lengths: of the rows. rows: most rows of a batch.
          tokens: most tokens of a batch, padding counted; a single longer row stands alone.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        longest = max(lengths[place], 1)
        if batch and (len(batch) == rows or longest * (len(batch) + 1) > tokens):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def pad(rows: Sequence[Sequence[int]], fill: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Right-padded ids i64[B, L] and their mask i64[B, L] (1: a real token)."""
    longest = max(len(row) for row in rows)
    ids = [[*row, *[fill] * (longest - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
