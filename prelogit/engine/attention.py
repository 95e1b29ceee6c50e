"""Attention of many samples over one shared prompt.

A prompt's keys and values are stored once. The queries of its m samples are folded into the
query axis of a single attention over them; each sample attends to its own suffix apart; the
two are merged by their log-sum-exp in float32, which is exact (as in Hydragen and cascade
attention). It enters transformers as an attention function, so every architecture runs its
own model code.

Dimensions: R rows, m rows of one group, H key/value heads, G query heads each, D head width,
L prompt tokens, t suffix tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from prelogit.engine.prefix import SuffixCache

NAME = "prelogit_shared"


def _attend(
    query: Tensor, key: Tensor, value: Tensor, scale: float, softcap: float | None
) -> tuple[Tensor, Tensor]:
    """Full attention with its log-sum-exp: q [.., Q, D], k and v [.., K, D] -> [.., Q, D], [.., Q]."""
    if softcap is None and query.device.type == "cpu":
        out, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, False, scale=scale
        )
        return out, lse
    scores = torch.matmul(query, key.transpose(-1, -2)).float() * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    lse = torch.logsumexp(scores, dim=-1)
    return torch.matmul(torch.exp(scores - lse[..., None]).to(value.dtype), value), lse


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


def _decode(
    cache: SuffixCache,
    layer: int,
    query: Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """One token for every row of every group: [R, HG, 1, D]."""
    outs, first = [], 0
    for group in cache.groups:
        m, t = group.live, group.decoded + 1  # the token just written counts
        keys, values = group.suffix[layer]
        heads, width = keys.shape[1], query.shape[-1]
        q = query[first : first + m, :, 0].reshape(m, heads, -1, width)  # [m, H, G, D]
        first += m
        start = 0 if window is None else max(0, t - window)
        own, own_lse = _attend(q, keys[:m, :, start:t], values[:m, :, start:t], scale, softcap)
        shared_keys, shared_values = group.prefix.layers[layer]
        length = shared_keys.shape[2]
        begin = 0 if window is None else max(0, length + t - window)
        if begin < length:
            folded = q.transpose(0, 1).reshape(1, heads, -1, width)  # [1, H, mG, D]
            far, far_lse = _attend(
                folded, shared_keys[:, :, begin:], shared_values[:, :, begin:], scale, softcap
            )
            far = far.view(heads, m, -1, far.shape[-1]).transpose(0, 1)
            far_lse = far_lse.view(heads, m, -1).transpose(0, 1)
            share = torch.sigmoid(far_lse.float() - own_lse.float())[..., None]
            own = torch.lerp(own.float(), far.float(), share).to(own.dtype)
        outs.append(own)
    return torch.cat(outs).flatten(1, 2)[:, :, None]


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
    suffix: SuffixCache | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls; ``suffix`` is set while decoding."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if suffix is None:
        out = _prefill(query, key, value, scale, sliding_window, softcap)
    else:
        out = _decode(suffix, module.layer_idx, query, scale, sliding_window, softcap)
    return out.transpose(1, 2).contiguous(), None


def register() -> None:
    """Make the function known to transformers by ``NAME``."""
    AttentionInterface.register(NAME, shared_attention)
