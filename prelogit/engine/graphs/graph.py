"""The CUDA way to decode: one captured graph for each bucket of shapes, replayed every step.

A GPU does the kernels of a step faster than Python can start them one by one. So the step works
on memory that stays in place (``slabs.py``), in shapes rounded up to buckets (``seats.py``), and is
captured once a bucket. Prompts are prefilled as ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prelogit.engine.decoder import SharedDecoder
from prelogit.engine.decoder import Step as Forward
from prelogit.engine.graphs.capture import Capture, Graphs
from prelogit.engine.graphs.seats import Seats
from prelogit.engine.graphs.slabs import Slabs
from prelogit.engine.graphs.static import Step
from prelogit.engine.graphs.static_draw import StaticDraw
from prelogit.engine.head import Head
from prelogit.engine.prefix import Group, Prefix


class GraphDecoder:
    """A ``Decoder``. Where a capture fails it warns once and goes on without graphs.

    Groups that had begun then end on the same memory, uncaptured; later ones are decoded by
    ``shared``.
    """

    def __init__(self, shared: SharedDecoder, forward: Forward, capture: Capture) -> None:
        self._shared, self._forward = shared, forward
        self._slabs, self._seats = Slabs(), Seats()
        self._capture = capture
        self._draws: StaticDraw | None = None
        self.graphs: Graphs[Step] = Graphs(capture)

    def prefill(self, token_ids: Sequence[int]) -> Prefix:
        """The shared way's."""
        return self._shared.prefill(token_ids)

    def forward(self, groups: list[Group], tokens: Tensor) -> None:
        """Feed one token a row (i64[R], rows in the order of the groups); sets their hidden."""
        if not self.graphs.failed:
            self._static(groups, tokens)
            return
        begun: list[tuple[Group, Tensor]] = []
        later: list[tuple[Group, Tensor]] = []
        for group, part in zip(groups, _parts(groups, tokens), strict=True):
            (begun if group in self._seats.rows else later).append((group, part))
        for way, pairs in ((self._static, begun), (self._shared.forward, later)):
            if pairs:
                way([group for group, _ in pairs], torch.cat([part for _, part in pairs]))

    def keep(self, group: Group, rows: list[int]) -> None:
        """Free the seats of all other rows."""
        self._seats.keep(group, rows)
        self._shared.keep(group, rows)

    def draws(self, head: Head) -> StaticDraw:
        """What draws this model's tokens: one for all engines, its graphs beside the layers'."""
        if self._draws is None:
            self._draws = StaticDraw(head, self._capture)
        return self._draws

    def clear(self) -> None:
        """Give all memory back; for when no group is live."""
        self.graphs.clear()
        if self._draws is not None:
            self._draws.clear()
        self._slabs, self._seats = Slabs(), Seats()
        self._shared.clear()

    @property
    def nbytes(self) -> int:
        """Bytes of all suffixes, of the second copy of the live prompts, and of what draws."""
        drawing = 0 if self._draws is None else self._draws.nbytes
        return self._slabs.nbytes + self._shared.nbytes + drawing

    def _static(self, groups: list[Group], tokens: Tensor) -> None:
        self._make_room(groups)
        shape = self._seats.shape(groups)
        step = self.graphs.find(shape) or Step(self._forward, shape, *self._slabs.corner(shape))
        step.feed(self._seats, groups, tokens)
        self.graphs.run(shape, step)
        rows = [row for group in groups for row in self._seats.rows[group]]
        # A copy: the next run writes over it.
        hidden = step.hidden[torch.tensor(rows).to(tokens.device)]
        for group, part in zip(groups, _parts(groups, hidden), strict=True):
            group.hidden = part
            group.decoded += 1

    def _make_room(self, groups: list[Group]) -> None:
        """Slabs large enough, and a seat for everyone."""
        need = self._seats.need(groups)
        # With nobody seated nothing is lost; what grows in rows must not stay as long as it was.
        if not self._seats.rows and (self._slabs.oversized(need) or not self._slabs.holds(need)):
            self.graphs.clear()
            self._slabs = Slabs()
            if self._draws is not None:
                self._draws.shrink(need.rows)
        if self._slabs.fit(groups[0].prefix.layers, need):
            self.graphs.clear()
        moves = self._seats.seat(groups)
        for place, prefix in moves.prompts:
            self._slabs.put(place, prefix.layers)
        if moves.source:
            longest = max(group.decoded for group in self._seats.rows)
            self._slabs.move(moves.source, moves.target, longest)


def _parts(groups: list[Group], rows: Tensor) -> tuple[Tensor, ...]:
    """The rows of each group."""
    return torch.split(rows, [group.live for group in groups])
