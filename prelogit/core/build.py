"""How large the parts of a decoder are, by its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

_NAMES = {
    "layers": ("num_hidden_layers", "n_layer"),
    "width": ("hidden_size", "n_embd"),
    "heads": ("num_attention_heads", "n_head"),
    "vocabulary": ("vocab_size",),
}


class Build(NamedTuple):
    """How a decoder is built: d = width, H = kv_heads of head_width, V = vocabulary."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int  # width of the feed-forward layers
    vocabulary: int
    tied: bool  # one table for the embedding and the output layer
    capped: bool  # attention scores pass through a tanh, so no fused attention takes them
    slides: bool  # some layers attend to a window


def build_of(config: Mapping[str, Any]) -> Build | None:
    """From the text part of a config.json; None when it lacks a number that is needed."""
    try:
        layers, width, heads, vocabulary = (
            next(int(config[name]) for name in names if config.get(name))
            for names in _NAMES.values()
        )
        return Build(
            layers=layers,
            width=width,
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_width=int(config.get("head_dim") or width // heads),
            inner=int(config.get("intermediate_size") or config.get("n_inner") or 4 * width),
            vocabulary=vocabulary,
            tied=bool(config.get("tie_word_embeddings", True)),
            capped=bool(config.get("attn_logit_softcapping")),
            slides=bool(config.get("sliding_window")),
        )
    except (StopIteration, RuntimeError, TypeError, ValueError):
        return None


def weights_of(build: Build, dtype: str, *, packed: bool) -> int:
    """Weights of a decoder like Llama's. Packed layers keep no table in common with the embedding."""
    d, head = build.width, build.head_width
    tables = build.vocabulary * d * (1 if build.tied and not packed else 2)
    attention = d * head * (2 * build.heads + 2 * build.kv_heads)
    layer = attention + 3 * d * build.inner + 2 * d
    return (tables + build.layers * layer + d) * BYTES.get(dtype, 4)
