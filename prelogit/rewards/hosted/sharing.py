"""The beginning that several rows share is read once, and their ends are scored against it.

Dimensions: B rows of a batch, H heads, P tokens of the shared beginning, S of the longest end,
D width of a head.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

KEPT = (DynamicLayer, DynamicSlidingWindowLayer)  # that hold keys and values, and nothing else
BY_LENGTH = ("dynamic", "longrope")  # rotary positions that depend on how long a batch is


class Sharing(NamedTuple):
    """How the model's forward is told of what was read before. ``cache``: that argument's name.

    ``positions``, ``use_cache``: whether it has these arguments.
    """

    cache: str
    positions: bool
    use_cache: bool


class _Kept(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """A layer after the beginning was read: it gives keys and values to any number of rows, and
    keeps none of theirs."""

    def __init__(self, read: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._read = read
        self.is_sliding = read.is_sliding
        self.is_initialized = True
        self.keys, self.values = read.keys, read.values  # [1, H, P or the window's rest, D]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to do."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, P + S, D] of the rows whose ends [B, H, S, D] are given."""
        rows = key_states.shape[0]
        keys = self.keys.expand(rows, -1, -1, -1)  # type: ignore[union-attr]
        values = self.values.expand(rows, -1, -1, -1)  # type: ignore[union-attr]
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many keys there are with the new ones, and the place of the first."""
        sizes: tuple[int, int] = self._read.get_mask_sizes(query_length)
        return sizes

    def get_seq_length(self) -> int:
        """P."""
        length: int = self._read.get_seq_length()
        return length

    def get_max_length(self) -> int:
        """There is none."""
        return -1


def find_sharing(model: Any) -> Sharing | str:
    """How to share, or why the model cannot. Whether it then scores alike is still to be seen."""
    arguments = _arguments(model)
    cache = cache_argument(model)
    if cache is None or getattr(model.config, "is_encoder_decoder", False):
        return "its forward takes no cache"
    config = model.config.get_text_config()
    ropes = [getattr(config, name, None) or {} for name in ("rope_parameters", "rope_scaling")]
    if any(kind in BY_LENGTH for given in ropes for kind in _rope_types(given)):
        return "its rotary positions depend on how long a row is"
    layers = getattr(config, "layer_types", None) or []
    if "chunked_attention" in layers or getattr(config, "attention_chunk_size", None) is not None:
        return "it attends in chunks"
    return Sharing(cache, "position_ids" in arguments, "use_cache" in arguments)


def cache_argument(model: Any) -> str | None:
    """What the model's forward calls its cache: ``cache`` or, in older code, past_key_values."""
    return next((name for name in ("cache", "past_key_values") if name in _arguments(model)), None)


def _arguments(model: Any) -> Mapping[str, Any]:
    return inspect.signature(getattr(model, "forward", model)).parameters


def _rope_types(given: dict[str, Any]) -> list[Any]:
    """Of rotary parameters, which may be told for each type of layer apart."""
    layers = [each for each in given.values() if isinstance(each, dict)]
    return [each.get("rope_type", each.get("type")) for each in (given, *layers)]


def read_beginning(model: Any, sharing: Sharing, ids: Tensor, mask: Tensor) -> Cache:
    """What the model keeps of a beginning [1, P].

    Raises: TypeError: it keeps other things than keys and values.
    """
    cache = DynamicCache(config=model.config)
    model(input_ids=ids, **continued(sharing, cache, 0, mask))
    layers: list[Any] = cache.layers
    if not all(type(layer) in KEPT and layer.is_initialized for layer in layers):
        raise TypeError("the model keeps more than keys and values")
    return Cache(layers=[_Kept(layer) for layer in layers])


def continued(sharing: Sharing, cache: Cache, begun: int, mask: Tensor) -> dict[str, Any]:
    """Arguments for rows that go on from a beginning.

    Args: begun: P. mask: of the rows alone, [B, S].
    """
    rows, longest = mask.shape
    options: dict[str, Any] = {
        sharing.cache: cache,
        "attention_mask": torch.cat([mask.new_ones(rows, begun), mask], dim=1),
    }
    if sharing.positions:
        places = torch.arange(begun, begun + longest, device=mask.device)
        options["position_ids"] = places.expand(rows, -1)
    if sharing.use_cache:
        options["use_cache"] = True
    return options
