"""Pre-logits that climb their value, and pre-logits that are kept.

Dimensions: R live rows of all seats, d width of the pre-logits, n samples, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from prelogit.engine.head import Head
from prelogit.engine.packed import PackedLinear
from prelogit.engine.work import Seat
from prelogit.search.plan import Ascend
from prelogit.value.network import Linear, Maps, ValueNet, ascend


def climbed(
    head: Head,
    hidden: Tensor,
    seats: Sequence[Seat],
    spans: Sequence[slice],
    added: Tensor | None,
) -> Tensor | None:
    """``added`` with what lifts the pre-logits of the rows that climb; one call for all alike.

    Args: hidden: [R, d], rows in the order of the seats. added: f32[R, d], or None for zeros.
    """
    alike: dict[tuple[int, float, int], list[tuple[Ascend, slice]]] = {}
    for seat, span in zip(seats, spans, strict=True):
        control = seat.work.plan.control
        if isinstance(control, Ascend):
            name = (id(control.value), control.rate, control.steps)
            alike.setdefault(name, []).append((control, span))
    if not alike:
        return added
    if added is None:
        added = torch.zeros(spans[-1].stop, head.dim, device=head.device)
    prelogit = head.prelogit(hidden).float()
    for members in alike.values():
        how = members[0][0]
        mine = torch.cat([prelogit[span] for _, span in members])
        placed = _placed(how.value, head.device)
        moved = ascend(mine, placed.maps, placed.third, how.rate, how.steps) - mine
        first = 0
        for _, span in members:
            m = span.stop - span.start
            added[span] = moved[first : first + m]
            first += m
    return added


def keep_states(head: Head, hidden: Tensor, seats: Sequence[Seat], spans: Sequence[slice]) -> None:
    """Store this step's pre-logits in the plans that ask for them."""
    for seat, span in zip(seats, spans, strict=True):
        work, group = seat.work, seat.group
        if not work.plan.keep_hidden:
            continue
        states = head.prelogit(hidden[span]).cpu()
        if work.hidden is None:
            n, tokens = work.token_ids.shape
            work.hidden = torch.zeros(n, tokens, head.dim, dtype=states.dtype)
        work.hidden[group.sample, group.decoded] = states


class _Placed(NamedTuple):
    """A network's weights on one device."""

    maps: Maps
    third: Tensor


def _placed(value: ValueNet, device: torch.device) -> _Placed:
    """The network where the head is, laid out once for each device."""
    found = value.placed.get(str(device))
    if not isinstance(found, _Placed):
        made = _linear(value.first, value.first_bias, device)
        maps = Maps(
            made,
            _linear(value.second, value.second_bias, device),
            _linear(value.second.T, None, device),
            _linear(value.first.T, None, device),
        )
        found = value.placed[str(device)] = _Placed(maps, value.third.to(device))
    return found


def _linear(weight: Tensor, bias: Tensor | None, device: torch.device) -> Linear:
    """A linear layer; packed on CPU, so that a row's bits do not depend on the rows beside it."""
    rows, columns = weight.shape
    layer = nn.Linear(columns, rows, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    try:
        if device.type == "cpu":
            return PackedLinear(layer)
    except (AttributeError, RuntimeError, NotImplementedError):
        pass  # torch without oneDNN
    there, shift = weight.to(device), None if bias is None else bias.to(device)
    return lambda x: functional.linear(x, there, shift)
