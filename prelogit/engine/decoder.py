"""Runs the decoder of a model: a prompt once, then one token for every row.

Two ways, same results: ``SharedDecoder`` keeps one copy of each prompt's keys and values for
all its rows; ``PlainDecoder`` gives every row its own copy and lets transformers do the rest,
for architectures whose attention or cache cannot be shared.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from prelogit.engine.attention import Attend
from prelogit.engine.cascade import Batch
from prelogit.engine.prefix import Group, Prefix
from prelogit.engine.spread import input_device
from prelogit.engine.suffix import Suffixes


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


class _NoCache(Cache):
    """What transformers takes for its cache while the attention function keeps keys and values."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[DynamicLayer() for _ in range(layers)])  # type: ignore[no-untyped-call]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Nothing is stored."""
        return key_states, value_states


# step(token ids i64[R, 1], positions i64[R, 1], attend) -> f[R, d], the last hidden states.
Step = Callable[[Tensor, Tensor, Attend], Tensor]


def own_step(decoder: Any, layers: int) -> Step:
    """One token for every row, by the model's own forward."""
    argument = cache_argument(decoder)

    def step(token_ids: Tensor, position: Tensor, attend: Attend) -> Tensor:
        out = decoder(
            input_ids=token_ids,
            position_ids=position,
            use_cache=True,
            attend=attend,
            **{argument: _NoCache(layers)},
        )
        hidden: Tensor = out.last_hidden_state[:, -1]
        return hidden

    return step


class SharedDecoder:
    """One copy of each prompt; all groups in one forward pass."""

    def __init__(self, decoder: Any, step: Step) -> None:
        self._decoder, self._step = decoder, step
        self._argument = cache_argument(decoder)
        self._suffixes = Suffixes()

    def prefill(self, token_ids: Sequence[int]) -> Prefix:
        """[1, H, L, D] keys and values a layer, sliding layers uncut."""
        ids = torch.tensor([list(token_ids)], device=input_device(self._decoder))
        cache: Any = DynamicCache()
        out = self._decoder(input_ids=ids, use_cache=True, **{self._argument: cache})
        layers = tuple((layer.keys, layer.values) for layer in cache.layers)
        return Prefix(tuple(token_ids), out.last_hidden_state[:, -1], layers, cache)

    def forward(self, groups: list[Group], tokens: Tensor) -> None:
        """One call of the model for all rows; positions differ from group to group."""
        # Those of one prompt beside each other, in whatever order they came.
        parts = dict(
            zip(groups, torch.split(tokens, [group.live for group in groups]), strict=True)
        )
        first: dict[int, int] = {}
        for group in groups:
            first.setdefault(id(group.prefix), len(first))
        groups = sorted(groups, key=lambda group: first[id(group.prefix)])
        batch = Batch(groups, self._suffixes, tokens.device)
        token_ids = torch.cat([parts[group] for group in groups])[:, None]
        _spread(groups, self._step(token_ids, batch.position, batch.attend))

    def keep(self, group: Group, rows: list[int]) -> None:
        """Free the others' places in the suffixes."""
        self._suffixes.keep(group, rows)
        group.keep(rows)

    def clear(self) -> None:
        """Give all memory of suffixes back; for when no group is live."""
        self._suffixes.clear()

    @property
    def nbytes(self) -> int:
        """Bytes of all suffixes."""
        return self._suffixes.nbytes


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
