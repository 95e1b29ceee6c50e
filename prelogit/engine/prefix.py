"""The prompt's keys and values, computed once; and the rows of the batch that share them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache


class Prefix(NamedTuple):
    """A prompt after its forward pass, shared by all its samples and iterations."""

    token_ids: tuple[int, ...]
    hidden: Tensor  # [1, d], the last hidden state of the last token
    layers: tuple[tuple[Tensor, Tensor], ...]  # keys, values [1, H, L, D] a layer
    cache: Cache  # the same, as transformers holds it

    @property
    def nbytes(self) -> int:
        """Bytes of the keys and values that are kept of the prompt."""
        cache: Any = self.cache
        held = self.layers or [(layer.keys, layer.values) for layer in cache.layers]
        return sum(one.nbytes for pair in held for one in pair)


class Group:
    """m live samples of one plan that decode in step: rows of the batch that stand together."""

    def __init__(self, prefix: Prefix, samples: Sequence[int], capacity: int) -> None:
        self.prefix = prefix
        self.sample = list(samples)  # which sample each live row is
        self.capacity = capacity  # most tokens the suffix can hold
        self.decoded = 0  # suffix tokens that have passed through the model
        self.asked: int | None = None  # the question that these rows wait for an answer to
        self.told: Tensor | None = None  # i64[m] on CPU: the answer, until the model has read it
        self.hidden = prefix.hidden.expand(len(samples), -1)  # [m, d], input of the next pick

    @property
    def live(self) -> int:
        """m: samples that have not ended."""
        return len(self.sample)

    def keep(self, rows: list[int]) -> None:
        """Only these rows go on."""
        self.sample = [self.sample[row] for row in rows]
        self.hidden = self.hidden[torch.tensor(rows, dtype=torch.long, device=self.hidden.device)]
