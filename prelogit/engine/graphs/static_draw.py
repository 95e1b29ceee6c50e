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

from prelogit.engine import pick
from prelogit.engine.graphs.capture import Capture, Graphs
from prelogit.engine.graphs.seats import ROWS
from prelogit.engine.graphs.slabs import halfway
from prelogit.engine.head import Head
from prelogit.noise import Rows, normal_rows


class Drawn(NamedTuple):
    """What one step came to; views of memory that the next call writes over."""

    tokens: Tensor  # i64[R], greedy
    logits: Tensor  # [R, V], steered
    dot: Tensor  # f64[R], u . v


class _Draw:
    """For up to so many rows; rows that are not used hold what they held."""

    def __init__(self, head: Head, rows: int, hidden: Tensor) -> None:
        self._head = head
        device, dim = hidden.device, hidden.shape[1]
        self.hidden = torch.zeros(rows, dim, dtype=hidden.dtype, device=device)
        self.mean = torch.zeros(rows, dim, device=device)
        self.sigma = torch.zeros(rows, device=device)
        self._names = torch.zeros(len(Rows._fields), rows, dtype=torch.long, device=device)
        self.tokens = torch.zeros(rows, dtype=torch.long, device=device)
        self.dot = torch.zeros(rows, dtype=torch.float64, device=device)
        self.logits = torch.empty(0)
        self.replay: Callable[[], None] = self.run

    def feed(self, hidden: Tensor, mean: Tensor, sigma: Tensor, names: Rows) -> None:
        live = len(hidden)
        self.hidden[:live] = hidden
        self.mean[:live] = mean
        self.sigma[:live] = sigma
        self._names[:, :live] = torch.stack(names)

    def run(self) -> None:
        eps = normal_rows(Rows(*self._names.unbind()), self.mean.shape[1])
        v = self.mean + self.sigma[:, None] * eps
        logits = self._head.logits(self.hidden, v)
        if self.logits.shape != logits.shape:  # made by the first run, before any capture
            self.logits = torch.empty_like(logits)
        self.logits.copy_(logits)
        self.tokens.copy_(pick.greedy(logits))
        self.dot.copy_((v.double() * self.mean.double()).sum(dim=-1))


class StaticDraw:
    """From hidden states to tokens, captured once for each bucket of rows."""

    def __init__(self, head: Head, capture: Capture) -> None:
        self._head = head
        self.graphs: Graphs[_Draw] = Graphs(capture)

    def __call__(self, hidden: Tensor, mean: Tensor, sigma: Tensor, names: Rows) -> Drawn:
        """The next token of each row, with v = mean + sigma eps(names) on its pre-logit.

        Args: hidden: [R, d]. mean: f32[R, d]. sigma: f32[R], 0 where no noise is added.
              names: i64[R] each, any numbers where sigma is 0.
        """
        live = len(hidden)
        rows = halfway(live, ROWS)
        step = self.graphs.find(rows) or _Draw(self._head, rows, hidden)
        step.feed(hidden, mean, sigma, names)
        self.graphs.run(rows, step)
        return Drawn(step.tokens[:live], step.logits[:live], step.dot[:live])
