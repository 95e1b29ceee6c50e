"""One plan on its way through the engine: what has been decoded of it, and what has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.engine.prefix import Group
from prelogit.noise import Rows, key_words, normal_rows, rows_of
from prelogit.search.plan import (
    Gaussian,
    NoiseKey,
    Plan,
    Revise,
    Revised,
    Rollouts,
    SearchId,
    TopK,
)


class Work:
    """A plan, the samples of it that have not been opened yet, and its growing rollouts."""

    def __init__(self, search: SearchId, plan: Plan, device: torch.device) -> None:
        self.search = search
        self.plan = plan
        self.unopened = list(range(plan.samples))  # samples that have yet to be decoded
        self.refused = 0  # how often memory did not suffice for one row of it alone
        self.decode_seconds = 0.0
        self.live_seconds = 0.0
        n = plan.samples
        self.token_ids = torch.full((n, plan.max_new_tokens), -1, dtype=torch.long)
        self.length = torch.zeros(n, dtype=torch.int32)
        self.stopped = torch.zeros(n, dtype=torch.bool)
        self.over = torch.zeros(n, dtype=torch.bool)  # samples that have ended
        self.dot = torch.zeros(n, dtype=torch.float64)
        self.log_ratio = torch.zeros(n, dtype=torch.float64)
        self.kl = torch.zeros(n, dtype=torch.float64)
        # [n, T, d], made when the first pre-logits come
        self.hidden: Tensor | None = None
        control = plan.control
        self.revised = _none_revised(plan) if isinstance(plan.pick, Revise) else None
        self.mean = control.mean.to(device) if isinstance(control, Gaussian) else None
        self.moved = self.mean is not None and bool(self.mean.any())

    @property
    def done(self) -> bool:
        """Every sample has ended."""
        return bool(self.over.all())

    def open(self, count: int) -> list[int]:
        """The next samples to decode."""
        samples, self.unopened = self.unopened[:count], self.unopened[count:]
        return samples

    def put_back(self, samples: Sequence[int]) -> bool:
        """Have these samples decoded anew from their first token, unless they have ended.

        Noise is a function of its name, so the same tokens come out. Returns whether any is left.
        """
        again = [sample for sample in samples if not self.over[sample]]
        self.token_ids[again] = -1
        self.length[again] = 0
        self.stopped[again] = False
        for total in (self.dot, self.log_ratio, self.kl, *(self.revised or ())):
            total[again] = 0
        self.unopened = sorted([*again, *self.unopened])
        return bool(again)

    def record(self, samples: list[int], step: int, tokens: Tensor, ends: Tensor) -> None:
        """Store this step's tokens (CPU); ``ends`` marks the end tokens among them.

        A token of -1 is none: the sample ends with those before.
        """
        cut = tokens < 0
        self.token_ids[samples, step - 1] = tokens
        self.length[samples] = step - cut.int()
        self.stopped[samples] = ends
        self.over[samples] = ends | cut | (step == self.plan.max_new_tokens)

    def rollouts(self) -> Rollouts:
        """What the plan's method is told."""
        plan = self.plan
        measured = plan.measure_kl or isinstance(plan.pick, Revise | TopK)
        return Rollouts(
            token_ids=self.token_ids,
            length=self.length,
            stopped=self.stopped,
            u_dot_noise=self.dot + self._unseen_dot(),
            decode_seconds=self.decode_seconds,
            live_seconds=self.live_seconds,
            log_ratio=self.log_ratio if measured else None,
            kl=self.kl if measured else None,
            hidden=self.hidden,
            revised=self.revised,
        )

    def _unseen_dot(self) -> Tensor:
        """u . v of the steps after each sample's end: Eq. 18 sums over the whole window."""
        total = torch.zeros_like(self.dot)
        control = self.plan.control
        if not isinstance(control, Gaussian) or not self.moved or control.sigma == 0.0:
            return total
        window = len(control.mean)
        for sample, length in enumerate(self.length.tolist()):
            first = max(length, control.frozen)
            if first >= window:
                continue
            step = torch.arange(first + 1, window + 1)
            key = control.key
            rows = rows_of(
                seed=key.seed,
                prompt=key.prompt,
                iteration=key.iteration,
                sample=torch.full_like(step, sample),
                step=step,
            )
            u = control.mean[first:]
            v = u + control.sigma * normal_rows(rows, u.shape[1])
            total[sample] = (v.double() * u.double()).sum(dim=-1).sum()
        return total


def _none_revised(plan: Plan) -> Revised:
    n, tokens = plan.samples, plan.max_new_tokens
    return Revised(
        free=torch.zeros(n, tokens, dtype=torch.bool),
        sigma2=torch.zeros(n, tokens, dtype=torch.float64),
        log_prior=torch.zeros(n, dtype=torch.float64),
    )


class Seat(NamedTuple):
    """A piece of a plan that decodes: these of its samples, as a group of rows."""

    work: Work
    group: Group
    samples: tuple[int, ...]

    @property
    def waits(self) -> bool:
        """Whether its rows stand still until a question is answered."""
        return self.group.asked is not None


def names(seats: Sequence[tuple[NoiseKey, Seat]], device: torch.device) -> Rows:
    """The names of the next step's noise, for all live rows of the seats, in their order."""
    table = [
        (*key_words(key.seed, key.prompt), key.iteration, sample, seat.group.decoded + 1)
        for key, seat in seats
        for sample in seat.group.sample
    ]
    # One table, so that a GPU is sent one piece.
    return Rows(*torch.tensor(table, dtype=torch.long).to(device).unbind(dim=1))
