"""Attention of many samples over many prompts in shapes that never change.

The same mathematics as ``cascade.py``: queries folded over their prompt, the own suffix apart,
both merged by their log-sum-exp in float32. Here all prompts are read in one call and all
suffixes in another, and what a row must not see is masked instead of cut away, so that every
step of a bucket runs the same kernels on the same addresses.

Dimensions: R rows, N prompts, M most rows of one prompt, L prompt tokens, T suffix tokens,
H key/value heads, G query heads each, D head width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.engine.graphs.slabs import Layers


class Numbers(NamedTuple):
    """What differs from step to step, all i64 on the device.

    A row that is not fed runs along on zeros. Only its ``write`` counts: the key and value that
    come of it must land where nothing is yet.
    """

    position: Tensor  # [R] of the token that is fed
    write: Tensor  # [R] place of that token in its suffix
    place: Tensor  # [R] where the row stands in ``fold``, flat
    source: Tensor  # [R] which of the tokens of the call it is fed
    fold: Tensor  # [N, M] the rows of each prompt
    length: Tensor  # [N] tokens of each prompt


def numbers_in(buffer: Tensor, rows: int, prompts: int, width: int) -> Numbers:
    """Views of one flat i64 buffer, so that one copy a step fills them all."""
    by_row, rest = buffer[: 4 * rows].view(4, rows), buffer[4 * rows :]
    fold, length = rest[: prompts * width].view(prompts, width), rest[prompts * width :]
    return Numbers(by_row[0], by_row[1], by_row[2], by_row[3], fold, length)


class StaticBatch:
    """The rows of one step; made anew for each, as the masks it keeps are the step's."""

    def __init__(self, numbers: Numbers, suffix: Layers, prefix: Layers) -> None:
        self._numbers, self._suffix, self._prefix = numbers, suffix, prefix
        self._masks: dict[tuple[str, int | None, int], Tensor] = {}

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
        softcap: float | None,
    ) -> Tensor:
        """Store one token a row and attend to all before it.

        Args:    query: [R, HG, 1, D]. key, value: [R, H, 1, D].
        Returns: [R, 1, HG, D].
        """
        for slab, states in zip(self._suffix[layer], (key, value), strict=True):
            index = self._numbers.write[:, None, None, None].expand_as(states)
            slab.scatter_(2, index, states)
        keys, values = self._suffix[layer]
        rows, heads, _, width = keys.shape
        q = query.reshape(rows, heads, -1, width)  # [R, H, G, D]
        each = q.shape[2]
        own, own_lse = attend(q, keys, values, self._own_mask(window, q), scale, softcap)
        fold = self._numbers.fold
        prompts, most = fold.shape
        folded = q.index_select(0, fold.flatten()).view(prompts, most, heads, each, width)
        folded = folded.transpose(1, 2).reshape(prompts, heads, most * each, width)
        far, far_lse = attend(
            folded, *self._prefix[layer], self._far_mask(window, folded, each), scale, softcap
        )
        far = self._unfold(far.view(prompts, heads, most, each, -1))
        far_lse = self._unfold(far_lse.view(prompts, heads, most, each, 1))
        share = torch.sigmoid(far_lse - own_lse[..., None])
        out = torch.lerp(own.float(), far.float(), share).to(own.dtype)
        return out.flatten(1, 2)[:, None]

    def _unfold(self, x: Tensor) -> Tensor:
        """[N, H, M, G, ..] -> [R, H, G, ..]."""
        return x.transpose(1, 2).flatten(0, 1).index_select(0, self._numbers.place)

    def _own_mask(self, window: int | None, query: Tensor) -> Tensor:
        """[R, 1, 1, T]: a row sees its suffix up to the token just written."""
        name = ("own", window, 0)
        if name not in self._masks:
            write = self._numbers.write[:, None, None, None]
            column = torch.arange(self._suffix[0][0].shape[2], device=write.device)
            seen = column <= write
            if window is not None:
                seen &= column > write - window
            self._masks[name] = _mask(seen, query.dtype)
        return self._masks[name]

    def _far_mask(self, window: int | None, query: Tensor, each: int) -> Tensor:
        """[N, 1, 1 or MG, L]: the prompt's tokens, those in the row's window where there is one."""
        name = ("far", window, 0 if window is None else each)
        if name not in self._masks:
            fold, length = self._numbers.fold, self._numbers.length[:, None, None]
            column = torch.arange(self._prefix[0][0].shape[2], device=fold.device)
            seen = column < length  # [N, 1, L]
            if window is not None:
                at = length + self._numbers.write[fold][..., None]  # [N, M, 1]
                seen = (seen & (column > at - window)).repeat_interleave(each, dim=1)
            self._masks[name] = _mask(seen[:, None], query.dtype)
        return self._masks[name]


def _mask(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where seen, else so low that it weighs nothing; finite, as a row may see no prompt token."""
    low = -3e4 if dtype == torch.float16 else -1e30
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, low)


def fusible(query: Tensor) -> bool:
    """Whether CUDA's memory-efficient kernel takes such heads."""
    return query.device.type == "cuda" and query.shape[-1] % 8 == 0


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float, softcap: float | None
) -> tuple[Tensor, Tensor]:
    """Masked attention with its log-sum-exp in float32.

    Args:    query: [B, H, Q, D]. key, value: [B, H, K, D]. mask: added to the scores, broadcasts.
    Returns: [B, H, Q, D] and f32[B, H, Q].
    """
    batch, heads, queries, _ = query.shape
    if softcap is None and fusible(query):
        # One kernel, the scores never in memory. It wants the mask's rows to begin at multiples
        # of 16, as the buckets of L and T are.
        out, lse, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(
            query, key, value, mask.expand(batch, heads, queries, -1), True, scale=scale
        )
        return out, lse[..., :queries]
    scores = torch.matmul(query, key.transpose(-1, -2)).float() * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores + mask.float()
    lse = torch.logsumexp(scores, dim=-1)
    return torch.matmul(torch.exp(scores - lse[..., None]).to(value.dtype), value), lse
