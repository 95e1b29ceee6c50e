"""Noise, logits and the most likely token of every row as one function over fixed memory.

The same bits as the ordinary way: Philox in integers, the quantiles of a table, and u + sigma eps
in two roundings. Rows that sample are picked from the logits afterwards.

Dimensions: R rows, d width of the pre-logits, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.core.buckets import ROWS, halfway
from prelogit.engine import pick
from prelogit.engine.graphs.capture import Capture, Graphs
from prelogit.engine.head import Head
from prelogit.noise import Rows, normal_rows


class Drawn(NamedTuple):
    """What one step came to; views of memory that the next call writes over."""

    tokens: Tensor  # i64[R], greedy
    logits: Tensor  # [R, V], steered
    dot: Tensor  # f64[R], u . v


class _Memory:
    """What all buckets of rows read and write: a corner of it each."""

    def __init__(self, rows: int, hidden: Tensor) -> None:
        self.rows = rows
        device, dim = hidden.device, hidden.shape[1]
        self.hidden = torch.zeros(rows, dim, dtype=hidden.dtype, device=device)
        self.mean = torch.zeros(rows, dim, device=device)
        self.sigma = torch.zeros(rows, device=device)
        self.names = torch.zeros(len(Rows._fields), rows, dtype=torch.long, device=device)
        self.tokens = torch.zeros(rows, dtype=torch.long, device=device)
        self.dot = torch.zeros(rows, dtype=torch.float64, device=device)
        self.logits = hidden.new_empty(0)  # [rows, V], made by the first run

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        tensors = (self.hidden, self.mean, self.sigma, self.names, self.tokens, self.dot)
        return sum(one.nbytes for one in tensors) + self.logits.nbytes


class _Draw:
    """For up to so many rows; rows that are not used hold what they held."""

    def __init__(self, head: Head, rows: int, memory: _Memory) -> None:
        self._head, self._rows, self._memory = head, rows, memory
        self.replay: Callable[[], None] = self.run

    def run(self) -> None:
        memory, rows = self._memory, self._rows
        mean = memory.mean[:rows]
        eps = normal_rows(Rows(*memory.names[:, :rows].unbind()), mean.shape[1])
        v = mean + memory.sigma[:rows, None] * eps
        logits = self._head.logits(memory.hidden[:rows], v)
        if not len(memory.logits):  # before any capture
            memory.logits = logits.new_empty(memory.rows, logits.shape[1])
        memory.logits[:rows] = logits
        memory.tokens[:rows] = pick.greedy(logits)
        memory.dot[:rows] = (v.double() * mean.double()).sum(dim=-1)


class StaticDraw:
    """From hidden states to tokens, captured once for each bucket of rows."""

    def __init__(self, head: Head, capture: Capture) -> None:
        self._head = head
        self._memory: _Memory | None = None
        self.graphs: Graphs[_Draw] = Graphs(capture)

    def __call__(self, hidden: Tensor, mean: Tensor, sigma: Tensor, names: Rows) -> Drawn:
        """The next token of each row, with v = mean + sigma eps(names) on its pre-logit.

        Args: hidden: [R, d]. mean: f32[R, d]. sigma: f32[R], 0 where no noise is added.
              names: i64[R] each, any numbers where sigma is 0.
        """
        live = len(hidden)
        rows = halfway(live, ROWS)
        if self._memory is None or self._memory.rows < rows:
            self.clear()
            self._memory = _Memory(rows, hidden)
        memory = self._memory
        memory.hidden[:live] = hidden
        memory.mean[:live] = mean
        memory.sigma[:live] = sigma
        memory.names[:, :live] = torch.stack(names)
        self.graphs.run(rows, self.graphs.find(rows) or _Draw(self._head, rows, memory))
        return Drawn(memory.tokens[:live], memory.logits[:live], memory.dot[:live])

    def shrink(self, rows: int) -> None:
        """Give the memory back where it is for more rows than these."""
        if self._memory is not None and self._memory.rows > rows:
            self.clear()

    def clear(self) -> None:
        """Give all memory back."""
        self.graphs.clear()
        self._memory = None

    @property
    def nbytes(self) -> int:
        """Bytes that are kept from step to step."""
        return 0 if self._memory is None else self._memory.nbytes
