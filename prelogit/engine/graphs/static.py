"""One decode step of all rows as a function without arguments: it reads and writes fixed memory.

So it can be captured once and replayed. Before each run the numbers of the step and its tokens
are copied in; after it the hidden states are copied out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prelogit.engine.decoder import Step as Forward
from prelogit.engine.graphs.seats import Seats
from prelogit.engine.graphs.slabs import Layers, Shape
from prelogit.engine.graphs.static_attention import StaticBatch, numbers_in
from prelogit.engine.prefix import Group


class Step:
    """The layers of a model on the slabs' corners of one shape."""

    def __init__(self, forward: Forward, shape: Shape, suffix: Layers, prefix: Layers) -> None:
        self._forward = forward
        self._suffix, self._prefix = suffix, prefix
        self.shape = shape
        device = suffix[0][0].device
        size = 4 * shape.rows + shape.prompts * shape.width + shape.prompts
        self._buffer = torch.zeros(size, dtype=torch.long, device=device)
        self.numbers = numbers_in(self._buffer, shape.rows, shape.prompts, shape.width)
        self._tokens = torch.zeros(shape.rows, dtype=torch.long, device=device)
        self.hidden = torch.empty(0)  # [R, d], of the last run
        self.replay: Callable[[], None] = self.run  # a captured graph's, once there is one

    def feed(self, seats: Seats, groups: list[Group], tokens: Tensor) -> None:
        """Copy in what this step is about: one token a live row, i64[sum of live]."""
        self._buffer.copy_(torch.from_numpy(_numbers(seats, groups, self.shape)))
        self._tokens.copy_(tokens[self.numbers.source])

    def run(self) -> None:
        """The step. No number in here may depend on what a tensor holds."""
        batch = StaticBatch(self.numbers, self._suffix, self._prefix)
        hidden = self._forward(self._tokens[:, None], self.numbers.position[:, None], batch.attend)
        if self.hidden.shape != hidden.shape:  # made by the first run, before any capture
            self.hidden = torch.empty_like(hidden)
        self.hidden.copy_(hidden)


def _numbers(seats: Seats, groups: list[Group], shape: Shape) -> np.ndarray[Any, Any]:
    """What ``Numbers`` views, i64 and flat."""
    position, write, place, source = (np.zeros(shape.rows, dtype=np.int64) for _ in range(4))
    fold = np.zeros((shape.prompts, shape.width), dtype=np.int64)
    length = np.zeros(shape.prompts, dtype=np.int64)
    for group, rows in seats.rows.items():
        write[rows] = group.decoded  # of a row that is not fed: where its next token will land
    first, used = 0, [0] * shape.prompts
    for group in groups:
        rows, m = seats.rows[group], group.live
        prompt = seats.place(group.prefix)
        length[prompt] = len(group.prefix.token_ids)
        position[rows] = length[prompt] + group.decoded
        start = used[prompt]
        fold[prompt, start : start + m] = rows
        place[rows] = prompt * shape.width + start + np.arange(m)
        source[rows] = first + np.arange(m)
        used[prompt] += m
        first += m
    return np.concatenate([position, write, place, source, fold.ravel(), length])
