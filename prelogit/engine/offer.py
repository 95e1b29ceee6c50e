"""The k most likely tokens of each row, for a method to choose from."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Offer(NamedTuple):
    """The candidates of m rows, the most likely first; on CPU."""

    token_ids: Tensor  # i64[m, k]
    log_p: Tensor  # f64[m, k]: of the whole vocabulary, at temperature 1


def top_k(logits: Tensor, k: int) -> Offer:
    """The k most likely tokens; of equals the lower id comes first, also over the edge.

    So the first of them is what greedy decoding picks, and a row's offer does not depend on the
    rows beside it.

    Args:    logits: [m, V]. k: all tokens are offered where the vocabulary has fewer.
    """
    k = min(k, logits.shape[-1])
    # ``topk`` promises no order among equals: it only says where the edge is.
    edge = logits.topk(k, dim=-1).values[:, -1:]
    row, token = (logits >= edge).nonzero(as_tuple=True)  # row by row, ids ascending
    count = torch.bincount(row, minlength=len(logits))
    place = torch.arange(len(row), device=row.device) - (count.cumsum(dim=0) - count)[row]
    shape = (len(logits), max(k, int(count.max())))
    values = logits.new_full(shape, -torch.inf)
    ids = torch.zeros(shape, dtype=torch.long, device=logits.device)
    values[row, place], ids[row, place] = logits[row, token], token
    order = values.sort(dim=-1, descending=True, stable=True).indices[:, :k]
    ids = ids.gather(1, order)
    log_p = logits.float().log_softmax(dim=-1).gather(1, ids)
    return Offer(ids.cpu(), log_p.double().cpu())
