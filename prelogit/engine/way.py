"""Which of the ways to decode fits a model: tried on a few tokens, not looked up in a list."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import torch

from prelogit.core.errors import ModelError
from prelogit.engine import attention
from prelogit.engine.decoder import Decoder, PlainDecoder, SharedDecoder, Step, own_step
from prelogit.engine.graphs.capture import Capture, CudaCapture
from prelogit.engine.graphs.graph import GraphDecoder
from prelogit.engine.prefix import Group
from prelogit.engine.spread import scattered, sharded
from prelogit.engine.tape import recorded_later

Attention = Literal["auto", "shared", "sdpa", "eager"]
GraphUse = Literal["auto", "off"]


def choose(module: Any, wanted: Attention, graphs: GraphUse = "auto") -> tuple[Decoder, str]:
    """The way that fits, tried on a few tokens against transformers' own attention.

    Args:   graphs: "auto" captures the shared way's steps as CUDA graphs where there is a GPU.
    Raises: ModelError: ``wanted`` names a way that this model cannot go.
    """
    decoder, config = module.base_model, module.config.get_text_config()
    plain = PlainDecoder(decoder, config)
    if wanted in ("sdpa", "eager"):
        if module.config._attn_implementation != wanted:
            try:
                module.set_attn_implementation(wanted)
            except ValueError as error:
                raise ModelError(
                    f"{type(module).__name__} has no attention {wanted!r}: use auto or eager"
                ) from error
        return plain, wanted
    before = module.config._attn_implementation
    attention.register()
    try:
        want = _probe(plain)
        module.set_attn_implementation(attention.NAME)
        layers = config.num_hidden_layers
        step = recorded_later(decoder, layers) if _on_cpu(module) else own_step(decoder, layers)
        shared = SharedDecoder(decoder, step)
        apart = _apart(_probe(shared), want)
        if apart < tolerance(module):
            if graphs == "auto" and _can_capture(module):
                return with_graphs(module, shared, step, CudaCapture(module.device)), "shared"
            return shared, "shared"
        reason = f"its results differ by {apart:.1%}"
    except Exception as error:  # noqa: BLE001 - any failure of a foreign model means: not this way
        reason = f"{type(error).__name__} in its attention"
    module.set_attn_implementation(before)
    if wanted == "shared":
        raise ModelError(
            f"{type(module).__name__} cannot share a prompt among its samples ({reason}): "
            'use attention "auto"'
        )
    warnings.warn(
        f"{type(module).__name__} cannot share a prompt among its samples ({reason}); each sample "
        "keeps its own copy of the prompt's keys and values, which costs memory and time",
        stacklevel=4,
    )
    return plain, before


def with_graphs(module: Any, shared: SharedDecoder, step: Step, capture: Capture) -> Decoder:
    """The shared way with its steps captured, or as it is, with a warning, where that fails."""
    try:
        want = _probe_mixed(shared)
        graph = GraphDecoder(shared, step, capture)
        graph.graphs.strict = True
        apart = _apart(_probe_mixed(graph), want)
        graph.clear()
        if apart < tolerance(module):
            graph.graphs.strict = False
            return graph
        reason = f"its results differ by {apart:.1%}"
    except Exception as error:  # noqa: BLE001 - as above
        reason = f"{type(error).__name__}: {error}"
    warnings.warn(
        f"{type(module).__name__} is decoded without CUDA graphs ({reason}), which costs time",
        stacklevel=5,
    )
    return shared


def _on_cpu(module: Any) -> bool:
    return module.device.type == "cpu" and not scattered(module) and not sharded(module)


def _can_capture(module: Any) -> bool:
    """On one GPU, whole: hooks and other processes are no part of a graph."""
    return module.device.type == "cuda" and not scattered(module) and not sharded(module)


def _apart(got: torch.Tensor, want: torch.Tensor) -> float:
    return float((got - want).abs().max() / want.abs().max())


def tolerance(module: Any) -> float:
    """How far apart two ways of one model may come out, in parts of the largest number."""
    return 1e-3 if module.dtype == torch.float32 else 0.1


@torch.inference_mode()
def _probe_mixed(way: Decoder) -> torch.Tensor:
    """The hidden states of rows of a short and a longer prompt, after one of them has left."""
    prefixes = [way.prefill([1, 2, 3, 4, 5]), way.prefill([1, 2, 3, 4, 5, 6, 7, 8, 9] * 8)]
    groups = [Group(prefix, range(3), 8) for prefix in prefixes]
    device = prefixes[0].hidden.device
    for tokens in ([1, 2, 3, 4, 5, 6], [7, 8, 9, 1, 2, 3]):
        way.forward(groups, torch.tensor(tokens, device=device))
    way.keep(groups[0], [0, 2])
    way.forward(groups, torch.tensor([4, 5, 6, 7, 8], device=device))
    hidden = torch.cat([group.hidden for group in groups])
    for group in groups:
        way.keep(group, [])
    return hidden.float()


@torch.inference_mode()
def _probe(way: Decoder) -> torch.Tensor:
    """The hidden state after a short prompt and two tokens of two samples."""
    prefix = way.prefill([1, 2, 3, 4, 5])
    group = Group(prefix, range(2), 4)
    for tokens in ([6, 7], [8, 9]):
        way.forward([group], torch.tensor(tokens, device=prefix.hidden.device))
    hidden = group.hidden
    way.keep(group, [])
    return hidden.float()
