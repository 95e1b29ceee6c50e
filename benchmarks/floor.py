"""The floor of a decode step, measured on the same machine in the same run.

A step cannot take less than its matrix products in the layout the engine uses, plus attention
over the prompt (once for all rows) and over each row's own suffix. And it cannot take less than
reading its weights, keys and values once from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.rounds import Stopwatch, Timing, now
from prelogit.engine.packed import PackedLinear

COPIED = 256 << 20  # bytes of a copy: more than any cache holds


class Products(NamedTuple):
    """Every linear layer of a model in the order of its step, with an input for each width."""

    layers: list[Any]
    inputs: dict[int, Tensor]  # [n, in_features] by in_features


def products(module: Any, n: int) -> Products:
    """All layers that multiply n rows by a weight, packed or not, the output layer too."""
    layers = [one for one in module.modules() if isinstance(one, nn.Linear | PackedLinear)]
    widths = {int(one.in_features) for one in layers}
    made = {w: torch.randn(n, w, dtype=module.dtype, device=module.device) for w in widths}
    return Products(layers, made)


def _product(layer: Any) -> Callable[[Tensor], Tensor]:
    """The bare product: without the rows that a packed layer may fill up."""
    found: Callable[[Tensor], Tensor] = (
        layer._apply_packed if isinstance(layer, PackedLinear) else layer.forward
    )
    return found


@torch.inference_mode()
def products_lap(watch: Stopwatch, work: Products, passes: int = 3) -> None:
    """Laps "floor products", and on CPU "floor IN>OUT" for each shape, in seconds a step.

    Layers are called in the model's own order: each weight is as cold as it is in a step.
    """
    inputs = [work.inputs[int(layer.in_features)] for layer in work.layers]
    calls = [_product(layer) for layer in work.layers]
    start = now()
    for _ in range(passes):
        for call, x in zip(calls, inputs, strict=True):
            call(x)
    watch.record("floor products", (now() - start).times(1 / passes))
    if inputs[0].device.type != "cpu":
        return
    by_shape: dict[str, Timing] = {}
    for layer, call, x in zip(work.layers, calls, inputs, strict=True):
        before = now()
        call(x)
        shape = f"floor {layer.in_features}>{layer.out_features}"
        by_shape[shape] = by_shape.get(shape, Timing(0.0, 0.0)) + (now() - before)
    for shape, spent in by_shape.items():
        watch.record(shape, spent)


class Caches(NamedTuple):
    """Keys and values of one layer, and the queries in both foldings."""

    prefix: Tensor  # [1, H, L, D]; keys and values alike
    suffix: Tensor  # [n, H, T, D]
    query: Tensor  # [n, H, G, D]
    folded: Tensor  # [1, H, n G, D]


def caches(module: Any, n: int, length: int, tokens: int) -> list[Caches]:
    """One a layer, as the model's configuration says; sliding layers see their window alone."""
    config: Any = module.config.get_text_config()
    heads = config.num_attention_heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    window = getattr(config, "sliding_window", None) or 0  # tokens; 0: no layer slides
    made = []
    for kind in kinds:
        sliding = kind == "sliding_attention" and window > 0
        far = max(1, min(length, window - tokens // 2)) if sliding else length
        near = min(tokens, window) if sliding else tokens

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=module.dtype, device=module.device)

        query = random(n, kept, heads // kept, width)
        folded = query.transpose(0, 1).reshape(1, kept, -1, width).contiguous()
        made.append(
            Caches(random(1, kept, far, width), random(n, kept, near, width), query, folded)
        )
    return made


def _fused(query: Tensor, cache: Tensor) -> None:
    if query.device.type == "cpu":
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, cache, cache, 0.0, False)
    else:
        nn.functional.scaled_dot_product_attention(query, cache, cache)


@torch.inference_mode()
def attention_lap(watch: Stopwatch, layers: list[Caches]) -> None:
    """Laps "floor prefix" and "floor suffix": raw attention of all layers, in seconds a step.

    The suffix grows from nothing to T: its mean is that of a quarter, a half and three quarters.
    """
    with watch.lap("floor prefix"):
        for layer in layers:
            _fused(layer.folded, layer.prefix)
    start, lengths = now(), (0.25, 0.5, 0.75)
    for share in lengths:
        for layer in layers:
            _fused(layer.query, layer.suffix[:, :, : max(1, int(layer.suffix.shape[2] * share))])
    watch.record("floor suffix", (now() - start).times(1 / len(lengths)))


def bytes_read(module: Any, work: Products, layers: list[Caches]) -> int:
    """Weights, the prompt's keys and values, and half the suffixes' (their mean), once each."""
    weights = sum(layer.in_features * layer.out_features for layer in work.layers)
    kept = sum(2 * one.prefix.numel() + one.suffix.numel() for one in layers)
    return int((weights + kept) * module.dtype.itemsize)


def bandwidth(device: Any) -> float:
    """Bytes a second of a copy, reads and writes counted; the best of three."""
    source = torch.ones(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    spent = []
    for _ in range(3):
        start = now()
        target.copy_(source)
        spent.append((now() - start).wall)
    return 2 * len(source) / min(spent)
