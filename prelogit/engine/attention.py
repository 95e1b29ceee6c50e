"""Attention as an architecture's own code calls it: a whole prompt here, a step in ``cascade``.

It enters transformers as an attention function, so every architecture runs its own model code.

Dimensions: HG query heads, S tokens of the prompt, D head width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "prelogit_shared"

# attend(layer, query [R, HG, 1, D], key, value [R, H, 1, D], scale, window, softcap)
# -> [R, 1, HG, D]: stores key and value of one token a row, and attends to all before it.
Attend = Callable[[int, Tensor, Tensor, Tensor, float, int | None, float | None], Tensor]


def _prefill(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Causal attention of a whole prompt, banded where the layer slides: [1, HG, S, D]."""
    heads, length, total = query.shape[1], query.shape[2], key.shape[2]
    repeat = heads // key.shape[1]
    key, value = key.repeat_interleave(repeat, dim=1), value.repeat_interleave(repeat, dim=1)
    if softcap is None and length == total and (window is None or total <= window):
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
    row = torch.arange(total - length, total, device=query.device)[:, None]
    column = torch.arange(total, device=query.device)[None]
    seen = column <= row
    if window is not None:
        seen &= column > row - window
    if softcap is None:
        return scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scale)
    scores = torch.matmul(query, key.transpose(-1, -2)).float() * scale
    scores = (torch.tanh(scores / softcap) * softcap).masked_fill(~seen, -torch.inf)
    return torch.matmul(scores.softmax(dim=-1).to(value.dtype), value)


def shared_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    attend: Attend | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls; ``attend`` is set while decoding."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if attend is not None:
        return attend(module.layer_idx, query, key, value, scale, sliding_window, softcap), None
    out = _prefill(query, key, value, scale, sliding_window, softcap)
    return out.transpose(1, 2).contiguous(), None


def register() -> None:
    """Make the function known to transformers by ``NAME``."""
    AttentionInterface.register(NAME, shared_attention)
