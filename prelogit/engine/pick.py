"""The next token of each row, from its logits."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Tokens are searched for their maximum in chunks: one pass over rows of this many columns is
# several times faster than one over the whole vocabulary.
_CHUNK = 256
# Nuclei are nearly always narrower than this many tokens, which are found without sorting a row.
_FIRST = 64
_ROWS = 8


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
        rows = _together(logits)
        return torch.cat(
            [
                _invert(torch.softmax(some.float() / temperature, dim=-1).double(), point)
                for some, point in zip(
                    torch.split(logits, rows), torch.split(uniform, rows), strict=True
                )
            ]
        )
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


def nucleus(
    logits: Tensor, temperature: float | Tensor, mass: float, *, widest: int | None = None
) -> Nucleus:
    """The smallest set of most likely tokens whose probability is at least ``mass`` < 1.

    Args:    logits: [R, V]. temperature: of all rows, or f64[R]. widest: at most so many tokens of it, 64 at most; None: all.
    Source:  Holtzman et al., 2020.
    """
    first = likeliest(logits, _FIRST if widest is None else min(widest, _FIRST))
    probability = log_probabilities(logits, temperature, first).exp()
    total = probability.cumsum(dim=-1)
    last = (total < mass).sum(dim=-1, keepdim=True)
    few = last < first.shape[1]
    if widest is not None or first.shape[1] == logits.shape[1] or bool(few.all()):
        return Nucleus(first, probability, last.clamp(max=first.shape[1] - 1))
    # The few rows in which the mass is spread wider are sorted further down.
    row = (~few[:, 0]).nonzero()[:, 0]
    heat = temperature[row] if isinstance(temperature, Tensor) else temperature
    wide = _spread(logits[row], heat, mass)
    shape = (len(logits), max(first.shape[1], wide.ids.shape[1]))
    ids = first.new_zeros(shape)
    values = probability.new_zeros(shape)
    ids[:, : first.shape[1]], values[:, : first.shape[1]] = first, probability
    ids[row, : wide.ids.shape[1]], values[row, : wide.ids.shape[1]] = wide.ids, wide.probability
    last[row] = wide.last
    return Nucleus(ids, values, last)


def likeliest(logits: Tensor, count: int) -> Tensor:
    """i64[R, count]: the most likely tokens of each row, the likeliest first; lower ids where they tie."""
    values, ids = logits.topk(min(count, logits.shape[1]), dim=-1)
    ids, order = ids.sort(dim=-1)  # a row's order shall be that of its numbers alone
    _, order = values.gather(1, order).sort(dim=-1, descending=True, stable=True)
    return ids.gather(1, order)


def log_probabilities(logits: Tensor, temperature: float | Tensor, ids: Tensor) -> Tensor:
    """f64[R, K]: of the tokens ``ids``, out of the whole vocabulary at the temperature (or f64[R])."""
    found, rows = [], _together(logits)
    for first, some in zip(range(0, len(logits), rows), torch.split(logits, rows), strict=True):
        part = slice(first, first + rows)
        heat = temperature[part] if isinstance(temperature, Tensor) else temperature
        scaled = _tempered(some, heat)
        found.append(torch.log_softmax(scaled, dim=-1).gather(1, ids[part]))
    return torch.cat(found).double()


def _tempered(logits: Tensor, temperature: float | Tensor) -> Tensor:
    """f32[R, V]: logits over the temperature of all rows, or of each."""
    if isinstance(temperature, Tensor):
        return logits.float() / temperature.float()[:, None]
    return logits.float() if temperature == 1.0 else logits.float() / temperature


def _spread(logits: Tensor, temperature: float | Tensor, mass: float) -> Nucleus:
    """The same as ``nucleus``, whatever its width: rows are sorted down to a floor."""
    probabilities = torch.softmax(_tempered(logits, temperature), dim=-1)
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


def _together(logits: Tensor) -> int:
    """Rows whose whole vocabulary is looked at in one go.

    A few stay in the processor's cache; all at once would be new pages of memory each time.
    """
    return _ROWS if logits.device.type == "cpu" else max(1, len(logits))


def _invert(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """i64[R]: the first place of each row whose cumulative mass exceeds the uniform's share of it."""
    cumulative = probabilities.cumsum(dim=-1)
    point = uniform.to(cumulative.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True)[:, 0].clamp(
        max=cumulative.shape[-1] - 1
    )
