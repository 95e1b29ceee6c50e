"""One plan on its way through the engine: its noise, and what has been decoded of it."""

from __future__ import annotations

import torch
from torch import Tensor

from prelogit.noise import Rows, normal_rows, rows_of
from prelogit.search.plan import Gaussian, NoiseKey, Plan, Rollouts, SearchId


class Work:
    """A plan, the samples of it that have not been opened yet, and its growing rollouts."""

    def __init__(self, search: SearchId, plan: Plan, device: torch.device) -> None:
        self.search = search
        self.plan = plan
        self.opened = 0  # samples that decode or have decoded
        self.ended = 0
        self.decode_seconds = 0.0
        self.live_seconds = 0.0
        n = plan.samples
        self.token_ids = torch.full((n, plan.max_new_tokens), -1, dtype=torch.long)
        self.length = torch.zeros(n, dtype=torch.int32)
        self.stopped = torch.zeros(n, dtype=torch.bool)
        self.dot = torch.zeros(n, dtype=torch.float64)
        self.log_ratio = torch.zeros(n, dtype=torch.float64)
        self.kl = torch.zeros(n, dtype=torch.float64)
        control = plan.control
        self.mean = control.mean.to(device) if isinstance(control, Gaussian) else None
        self._moved = self.mean is not None and bool(self.mean.any())

    @property
    def done(self) -> bool:
        """Every sample has ended."""
        return self.ended == self.plan.samples

    def noise(self, samples: list[int], step: int) -> Tensor | None:
        """f32[m, d]: v_t = u_t + sigma * eps of these samples; None where nothing is added.

        Scaling and moving are two roundings, as anyone who checks the noise would write them;
        a fused multiply-add would give other bits.
        """
        control = self.plan.control
        if control is None or self.mean is None or step > len(self.mean):
            return None
        u = self.mean[step - 1]
        if control.sigma == 0.0:
            return u.expand(len(samples), -1)
        eps = normal_rows(_rows(control.key, samples, step, u.device), len(u))
        v = u + control.sigma * eps
        if self._moved:
            self.dot[samples] += (v.double() * u.double()).sum(dim=-1).cpu()
        return v

    def record(self, samples: list[int], step: int, tokens: Tensor, ends: Tensor) -> None:
        """Store this step's tokens (CPU); ``ends`` marks the end tokens among them."""
        self.token_ids[samples, step - 1] = tokens
        self.length[samples] = step
        self.stopped[samples] = ends

    def rollouts(self) -> Rollouts:
        """What the plan's method is told."""
        plan = self.plan
        return Rollouts(
            token_ids=self.token_ids,
            length=self.length,
            stopped=self.stopped,
            u_dot_noise=self.dot + self._unseen_dot(),
            decode_seconds=self.decode_seconds,
            live_seconds=self.live_seconds,
            log_ratio=self.log_ratio if plan.measure_kl else None,
            kl=self.kl if plan.measure_kl else None,
        )

    def _unseen_dot(self) -> Tensor:
        """u . v of the steps after each sample's end: Eq. 18 sums over the whole window."""
        total = torch.zeros_like(self.dot)
        control = self.plan.control
        if not isinstance(control, Gaussian) or not self._moved or control.sigma == 0.0:
            return total
        window = len(control.mean)
        for sample, length in enumerate(self.length.tolist()):
            if length >= window:
                continue
            step = torch.arange(length + 1, window + 1)
            key = control.key
            rows = rows_of(
                seed=key.seed,
                prompt=key.prompt,
                iteration=key.iteration,
                sample=torch.full_like(step, sample),
                step=step,
            )
            u = control.mean[length:]
            v = u + control.sigma * normal_rows(rows, u.shape[1])
            total[sample] = (v.double() * u.double()).sum(dim=-1).sum()
        return total


def _rows(key: NoiseKey, samples: list[int], step: int, device: torch.device) -> Rows:
    """The names of one step's noise."""
    sample = torch.tensor(samples, device=device)
    return rows_of(
        seed=key.seed,
        prompt=key.prompt,
        iteration=key.iteration,
        sample=sample,
        step=torch.full_like(sample, step),
    )
