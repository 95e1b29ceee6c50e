"""Runs the decoder of a model: a prompt once, then one token for every row.

Two ways, same results: ``SharedDecoder`` keeps one copy of each prompt's keys and values for
all its rows; ``PlainDecoder`` gives every row its own copy and lets transformers do the rest,
for architectures whose attention or cache cannot be shared.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from prelogit.engine.prefix import Group, Prefix, SuffixCache
from prelogit.engine.spread import input_device


class Decoder(Protocol):
    """What the engine needs of either way."""

    def prefill(self, token_ids: Sequence[int]) -> Prefix:
        """The prompt's forward pass."""

    def forward(self, groups: list[Group], tokens: Tensor) -> None:
        """Feed one token a row (i64[R], rows in the order of the groups); sets their hidden."""

    def keep(self, group: Group, rows: list[int]) -> None:
        """Drop all other rows of a group."""


def cache_argument(decoder: Any) -> str:
    """What this model's forward calls its cache: ``cache`` or, in older code, past_key_values."""
    return (
        "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"
    )


def _spread(groups: list[Group], hidden: Tensor) -> None:
    first = 0
    for group in groups:
        group.hidden = hidden[first : first + group.live]
        group.decoded += 1
        first += group.live


class SharedDecoder:
    """One copy of each prompt; all groups in one forward pass."""

    def __init__(self, decoder: Any, layers: int) -> None:
        self._decoder = decoder
        self._layers = layers
        self._argument = cache_argument(decoder)

    def prefill(self, token_ids: Sequence[int]) -> Prefix:
        """[1, H, L, D] keys and values a layer, sliding layers uncut."""
        ids = torch.tensor([list(token_ids)], device=input_device(self._decoder))
        cache: Any = DynamicCache()
        out = self._decoder(input_ids=ids, use_cache=True, **{self._argument: cache})
        layers = tuple((layer.keys, layer.values) for layer in cache.layers)
        return Prefix(tuple(token_ids), out.last_hidden_state[:, -1], layers, cache)

    def forward(self, groups: list[Group], tokens: Tensor) -> None:
        """One call of the model for all rows; positions differ from group to group."""
        place = [len(g.prefix.token_ids) + g.decoded for g in groups for _ in range(g.live)]
        position = torch.tensor(place, device=tokens.device)[:, None]
        cache = SuffixCache(groups, self._layers)
        out = self._decoder(
            input_ids=tokens[:, None],
            position_ids=position,
            use_cache=True,
            suffix=cache,
            **{self._argument: cache},
        )
        _spread(groups, out.last_hidden_state[:, -1])

    def keep(self, group: Group, rows: list[int]) -> None:
        """Close up the rows of the group's suffix."""
        group.keep(rows)


class PlainDecoder:
    """A copy of the prompt for each row; a forward pass for each group."""

    def __init__(self, decoder: Any, config: Any) -> None:
        self._decoder = decoder
        self._config = config
        self._argument = cache_argument(decoder)
        self._own: dict[int, Any] = {}  # by id of the group; dropped with its last row

    def prefill(self, token_ids: Sequence[int]) -> Prefix:
        """The cache is of the kind that the model's configuration asks for."""
        ids = torch.tensor([list(token_ids)], device=input_device(self._decoder))
        cache = DynamicCache(config=self._config)
        out = self._decoder(input_ids=ids, use_cache=True, **{self._argument: cache})
        return Prefix(tuple(token_ids), out.last_hidden_state[:, -1], (), cache)

    def forward(self, groups: list[Group], tokens: Tensor) -> None:
        """Group by group."""
        first, parts = 0, []
        for group in groups:
            cache: Any = self._own.get(id(group))
            if cache is None:
                cache = copy.deepcopy(group.prefix.cache)
                cache.reorder_cache(torch.zeros(group.live, dtype=torch.long, device=tokens.device))
                self._own[id(group)] = cache
            rows = tokens[first : first + group.live, None]
            position = torch.full_like(rows, len(group.prefix.token_ids) + group.decoded)
            out = self._decoder(
                input_ids=rows,
                position_ids=position,
                use_cache=True,
                **{self._argument: cache},
            )
            parts.append(out.last_hidden_state[:, -1])
            first += group.live
        _spread(groups, torch.cat(parts))

    def keep(self, group: Group, rows: list[int]) -> None:
        """Select the rows of the group's own cache."""
        group.keep(rows)
        if not rows:
            self._own.pop(id(group), None)
        elif id(group) in self._own:
            self._own[id(group)].reorder_cache(torch.tensor(rows, device=group.hidden.device))
