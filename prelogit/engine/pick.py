"""The next token of each row, from its logits."""

from __future__ import annotations

from typing import NamedTuple

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
    if mass >= 1.0:
        probabilities = torch.softmax(logits.float() / temperature, dim=-1)
        return _invert(probabilities.double().cumsum(dim=-1), uniform)
    found = nucleus(logits, temperature, mass)
    total = found.probability.cumsum(dim=-1)
    point = uniform.to(total.device)[:, None] * total.gather(1, found.last)
    chosen = torch.minimum(torch.searchsorted(total, point, right=True), found.last)
    return found.ids.gather(1, chosen)[:, 0]


class Nucleus(NamedTuple):
    """The most likely tokens of R rows, the likeliest first; K is that of the widest row.

    What stands after a row's last place is no part of its nucleus.
    """

    ids: Tensor  # i64[R, K]
    probability: Tensor  # f64[R, K], of the whole vocabulary at the temperature
    last: Tensor  # i64[R, 1]: place of the nucleus' last token


def nucleus(logits: Tensor, temperature: float, mass: float) -> Nucleus:
    """The smallest set of most likely tokens whose probability is at least ``mass`` < 1.

    Args:    logits: [R, V].
    Source:  Holtzman et al., 2020.
    """
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    # All tokens below this floor weigh less than 1 - mass together, so none of them is in the
    # nucleus: only the few above it need sorting.
    likely = probabilities > (1.0 - mass) / probabilities.shape[-1]
    row, token = likely.nonzero(as_tuple=True)  # row by row, ids ascending
    count = likely.sum(dim=-1)
    place = torch.arange(len(row), device=row.device) - (count.cumsum(dim=0) - count)[row]
    shape = (len(probabilities), int(count.max()))
    values = probabilities.new_zeros(shape, dtype=torch.float64)
    values[row, place] = probabilities[row, token].double()
    ids = torch.zeros(shape, dtype=torch.long, device=row.device)
    ids[row, place] = token
    del (
        probabilities,
        likely,
        row,
        token,
        place,
    )  # as wide as the vocabulary: not beside what follows
    values, order = values.sort(dim=-1, descending=True, stable=True)
    total = values.cumsum(dim=-1)
    last = torch.minimum((total < mass).sum(dim=-1), count - 1)[:, None]
    return Nucleus(ids.gather(1, order), values, last)


def _invert(cumulative: Tensor, uniform: Tensor) -> Tensor:
    """i64[R]: the first place of each row whose cumulative mass exceeds the uniform's share of it."""
    point = uniform.to(cumulative.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True)[:, 0].clamp(
        max=cumulative.shape[-1] - 1
    )
