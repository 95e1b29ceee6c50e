"""Which of the ways to decode fits a model: tried on a few tokens, not looked up in a list."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import torch

from prelogit.core.errors import ModelError
from prelogit.engine import attention
from prelogit.engine.decoder import Decoder, PlainDecoder, SharedDecoder
from prelogit.engine.prefix import Group

Attention = Literal["auto", "shared", "sdpa", "eager"]


def choose(module: Any, wanted: Attention) -> tuple[Decoder, str]:
    """The way that fits, tried on a few tokens against transformers' own attention.

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
        shared = SharedDecoder(decoder, config.num_hidden_layers)
        apart = float((_probe(shared) - want).abs().max() / want.abs().max())
        if apart < (1e-3 if module.dtype == torch.float32 else 0.1):
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
