"""The next token of each row, from its logits."""

from __future__ import annotations

import torch
from torch import Tensor

# Tokens are searched for their maximum in chunks: one pass over rows of this many columns is
# several times faster than one over the whole vocabulary.
_CHUNK = 256


def greedy(logits: Tensor) -> Tensor:
    """i64[R]: the most likely token of each row; the lowest id where several tie."""
    rows, vocabulary = logits.shape
    if vocabulary % _CHUNK or logits.device.type != "cpu":
        return logits.argmax(dim=-1)
    chunks = logits.view(rows, -1, _CHUNK)
    chunk = chunks.amax(dim=-1).argmax(dim=-1)
    inside = chunks[torch.arange(rows), chunk].argmax(dim=-1)
    return chunk * _CHUNK + inside


def top_p(logits: Tensor, temperature: float, mass: float, uniform: Tensor) -> Tensor:
    """Nucleus sampling by inversion.

    Temperature comes first, then the smallest set of most likely tokens whose probability is
    at least ``mass``; ``uniform`` in (0, 1) points into it.

    Args:    logits: [R, V]. uniform: f64[R].
    Returns: i64[R].
    Source:  Holtzman et al., 2020.
    """
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    if mass >= 1.0:
        return _invert(probabilities.double().cumsum(dim=-1), uniform)
    # All tokens below this floor weigh less than 1 - mass together, so none of them is in the
    # nucleus: only the few above it need sorting.
    floor = (1.0 - mass) / probabilities.shape[-1]
    picked = []
    for row, point in zip(probabilities, uniform, strict=True):
        likely = (row > floor).nonzero()[:, 0]
        values, order = row[likely].double().sort(descending=True, stable=True)
        total = values.cumsum(dim=0)
        size = int((total < mass).sum()) + 1
        picked.append(likely[order[_invert(total[None, :size], point[None])]])
    return torch.cat(picked)


def _invert(cumulative: Tensor, uniform: Tensor) -> Tensor:
    """i64[R]: the first place of each row whose cumulative mass exceeds the uniform's share of it."""
    point = uniform.to(cumulative.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True)[:, 0].clamp(
        max=cumulative.shape[-1] - 1
    )
