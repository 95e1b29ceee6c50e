"""One step's attention of many rows, each over its prompt, stored once, and over its own suffix.

The queries of all rows of a prompt are folded into the query axis of one attention over its keys
and values; each row attends to its own suffix apart; the two are merged by their log-sum-exp in
float32, which is exact (as in Hydragen and cascade attention).

In float32 on CPU a row's bits depend on nothing but the row: suffixes are read in whole vectors,
and folded queries in blocks whose rows the kernels treat alike.

Dimensions: R rows, H key/value heads, G query heads each, D head width, L prompt tokens, t tokens
of a row's suffix, T the longest of them rounded up.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.engine.prefix import Group, Prefix
from prelogit.engine.suffix import TOKENS, Suffixes, rounded

# The fused kernel cuts queries into blocks of 32, and of 64 from 192 on; a block that is no
# multiple of 16 may end in rows that another kernel does. In bfloat16 few queries are another
# kernel's, too.
_QUERIES, _MOST_QUERIES = 16, 176
_LEAST_QUERIES = {torch.float32: 16, torch.bfloat16: 64}


class Segment(NamedTuple):
    """Rows ``start`` to ``stop`` of the batch, of one prompt and, per window, one suffix length."""

    prefix: Prefix
    start: int
    stop: int
    length: int  # t of its first group; all of them are of this length if ``even``
    even: bool


class Batch:
    """The rows of one step: groups in order, those of one prompt beside each other."""

    def __init__(self, groups: list[Group], suffixes: Suffixes, device: torch.device) -> None:
        suffixes.seat(groups)
        self._suffixes = suffixes
        slot = [slot for group in groups for slot in suffixes.slots(group)]
        place = [group.decoded for group in groups for _ in range(group.live)]
        start = [len(g.prefix.token_ids) + g.decoded for g in groups for _ in range(g.live)]
        self.position = torch.tensor(start, device=device)[:, None]  # i64[R, 1]
        self._slot, self._place = (
            torch.tensor(slot, device=device),
            torch.tensor(place, device=device),
        )
        self._used = suffixes.used
        self._straight = slot == list(range(self._used))
        self._into: tuple[Tensor | slice, Tensor | int] = (self._slot, self._place)
        if self._straight and len(set(place)) == 1:
            self._into = (slice(0, self._used), place[0])
        self._span = rounded(max(place) + 1, TOKENS)
        self._segments = _segments(groups)
        self._single = [_segments([group], first)[0] for group, first in _firsts(groups)]
        self._masks: dict[tuple[int | None, torch.dtype, torch.device], Tensor] = {}

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
        """Store one token a row and attend to all before it: [R, 1, HG, D]."""
        keys, values = self._suffixes.write(layer, *self._into, key[:, :, 0], value[:, :, 0])
        rows, heads, width = query.shape[0], key.shape[1], value.shape[-1]
        q = query[:, :, 0].view(rows, heads, -1, query.shape[-1])  # [R, H, G, D]
        own, own_lse = self._own(q, keys, values, scale, window, softcap)
        far, far_lse = self._far(layer, q, width, scale, window, softcap)
        share = torch.sigmoid(far_lse - own_lse)[..., None]
        out = torch.lerp(own.float(), far.float(), share).to(query.dtype)
        return out.reshape(rows, 1, -1, width)

    def _own(
        self,
        q: Tensor,
        keys: Tensor,
        values: Tensor,
        scale: float,
        window: int | None,
        softcap: float | None,
    ) -> tuple[Tensor, Tensor]:
        """Each row over its suffix: [R, H, G, D] and [R, H, G]."""
        slot = self._slot.to(q.device)
        if not self._straight:
            q = q.new_zeros(self._used, *q.shape[1:]).index_copy(0, slot, q)
        keys, values = keys[: self._used, :, : self._span], values[: self._used, :, : self._span]
        out, lse = attention(q, keys, values, scale, softcap, self._mask(window, q))
        return (out, lse) if self._straight else (out[slot], lse[slot])

    def _mask(self, window: int | None, like: Tensor) -> Tensor:
        """[slots, 1, 1, T]: 0 where a slot's suffix is seen, -inf beyond it or before its window."""
        name = (window, like.dtype, like.device)
        if name not in self._masks:
            last = torch.zeros(self._used, dtype=torch.long, device=self._slot.device)
            last[self._slot] = self._place
            token = torch.arange(self._span, device=last.device)
            seen = token <= last[:, None]
            if window is not None:
                seen &= token > last[:, None] - window
            mask = torch.zeros(seen.shape, dtype=like.dtype, device=last.device)
            mask.masked_fill_(~seen, -torch.inf)
            self._masks[name] = mask[:, None, None].to(like.device)
        return self._masks[name]

    def _far(
        self,
        layer: int,
        q: Tensor,
        width: int,
        scale: float,
        window: int | None,
        softcap: float | None,
    ) -> tuple[Tensor, Tensor]:
        """Each row over its prompt: [R, H, G, D] and [R, H, G]; -inf where it sees none of it."""
        outs, lses = [], []
        for one in self._segments_for(window):
            keys, values = one.prefix.layers[layer]
            length = keys.shape[2]
            begin = 0 if window is None else max(0, length + one.length - window)
            part = q[one.start : one.stop]
            if begin < length:
                out, lse = _folded(part, keys[:, :, begin:], values[:, :, begin:], scale, softcap)
            else:
                out = part.new_zeros(*part.shape[:-1], width)
                lse = torch.full_like(part[..., 0], -torch.inf, dtype=torch.float32)
            outs.append(out)
            lses.append(lse)
        if len(outs) == 1:
            return outs[0], lses[0]
        return torch.cat(outs), torch.cat(lses)

    def _segments_for(self, window: int | None) -> list[Segment]:
        """Prompt by prompt; group by group where rows of one prompt see different parts of it."""
        if window is None or all(
            one.even or len(one.prefix.token_ids) + self._span <= window for one in self._segments
        ):
            return self._segments
        return self._single


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    softcap: float | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention with its log-sum-exp in float32: q [.., Q, D], k and v [.., K, D] -> [.., Q, D], [.., Q]."""
    if softcap is None and query.device.type == "cpu":
        out, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, False, attn_mask=mask, scale=scale
        )
        return out, lse
    scores = torch.matmul(query, key.transpose(-1, -2)).float() * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is not None:
        scores = scores + mask
    lse = torch.logsumexp(scores, dim=-1)
    return torch.matmul(torch.exp(scores - lse[..., None]).to(value.dtype), value), lse


def _folded(
    q: Tensor, keys: Tensor, values: Tensor, scale: float, softcap: float | None
) -> tuple[Tensor, Tensor]:
    """m rows [m, H, G, D] over one prompt [1, H, L, D]: [m, H, G, D] and [m, H, G]."""
    rows, heads, each, width = q.shape
    queries = rows * each
    folded = q.transpose(0, 1).reshape(1, heads, queries, width)
    if q.dtype in _LEAST_QUERIES and q.device.type == "cpu":
        size = rounded(max(queries, _LEAST_QUERIES[q.dtype]), _QUERIES)
        if size != queries:
            folded = torch.nn.functional.pad(folded, (0, 0, 0, size - queries))
        pieces = [
            attention(piece, keys, values, scale, softcap)
            for piece in torch.split(folded, _MOST_QUERIES, dim=2)
        ]
    else:
        pieces = [attention(folded, keys, values, scale, softcap)]
    out, lse = pieces[0]
    if len(pieces) > 1:
        out = torch.cat([piece for piece, _ in pieces], dim=2)
        lse = torch.cat([piece for _, piece in pieces], dim=2)
    out = out[0, :, :queries].view(heads, rows, each, -1).transpose(0, 1)
    return out, lse[0, :, :queries].view(heads, rows, each).transpose(0, 1)


def _firsts(groups: list[Group]) -> list[tuple[Group, int]]:
    firsts, first = [], 0
    for group in groups:
        firsts.append((group, first))
        first += group.live
    return firsts


def _segments(groups: list[Group], first: int = 0) -> list[Segment]:
    """One segment for each run of groups with the same prompt."""
    segments: list[Segment] = []
    for group in groups:
        length = group.decoded + 1  # the token just written counts
        stop = first + group.live
        if segments and segments[-1].prefix is group.prefix:
            last = segments[-1]
            even = last.even and last.length == length
            segments[-1] = last._replace(stop=stop, even=even)
        else:
            segments.append(Segment(group.prefix, first, stop, length, even=True))
        first = stop
    return segments
