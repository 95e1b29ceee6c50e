"""The prompt's keys and values, computed once; and the suffix that each sample adds to them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


class Prefix(NamedTuple):
    """A prompt after its forward pass, shared by all its samples and iterations."""

    token_ids: tuple[int, ...]
    hidden: Tensor  # [1, d], the last hidden state of the last token
    layers: tuple[tuple[Tensor, Tensor], ...]  # keys, values [1, H, L, D] a layer
    cache: Cache  # the same, as transformers holds it


class Group:
    """m live samples of one plan that decode in step: rows of the batch that stand together."""

    def __init__(self, prefix: Prefix, samples: range, capacity: int) -> None:
        self.prefix = prefix
        self.sample = list(samples)  # which sample each live row is
        self.capacity = capacity  # most tokens the suffix can hold
        self.decoded = 0  # suffix tokens that have passed through the model
        self.stepped = 0  # rows that took part in the last step
        self.suffix: list[tuple[Tensor, Tensor]] = []  # keys, values [n, H, T, D] a layer
        self.hidden = prefix.hidden.expand(len(samples), -1)  # [m, d], input of the next pick

    @property
    def live(self) -> int:
        """m: samples that have not ended."""
        return len(self.sample)

    def write(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Store this step's key and value [m, H, 1, D] of one layer."""
        while len(self.suffix) <= layer:
            n, heads, _, _ = key.shape
            self.suffix.append(
                (
                    key.new_empty(n, heads, self.capacity, key.shape[-1]),
                    value.new_empty(n, heads, self.capacity, value.shape[-1]),
                )
            )
        keys, values = self.suffix[layer]
        keys[: self.live, :, self.decoded] = key[:, :, 0]
        values[: self.live, :, self.decoded] = value[:, :, 0]

    def keep(self, rows: list[int]) -> None:
        """Only these rows go on; the others' places are closed up."""
        index = torch.tensor(rows, dtype=torch.long, device=self.hidden.device)
        self.sample = [self.sample[row] for row in rows]
        for keys, values in self.suffix:
            index = index.to(keys.device)  # layers may be on several devices
            keys[: len(rows), :, : self.decoded] = keys[index, :, : self.decoded]
            values[: len(rows), :, : self.decoded] = values[index, :, : self.decoded]
        self.hidden = self.hidden[index.to(self.hidden.device)]


class SuffixCache(Cache):
    """What transformers takes for its cache while many groups decode one token each."""

    def __init__(self, groups: list[Group], layers: int) -> None:
        super().__init__(layers=[DynamicLayer() for _ in range(layers)])  # type: ignore[no-untyped-call]
        self.groups = groups

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write each group's rows into its own suffix; attention reads them from there."""
        first = 0
        for group in self.groups:
            rows = slice(first, first + group.live)
            group.write(layer_idx, key_states[rows], value_states[rows])
            first += group.live
        return key_states, value_states
