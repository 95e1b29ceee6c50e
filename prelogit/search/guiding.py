"""Token by token: the questions of one round whose method picks every token, and what they cost."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from prelogit.core.records import Guided, Iteration, StopReason
from prelogit.search.plan import Choice, Method, Question, Rollouts
from prelogit.wire.jobs import Stop


class Weighed(NamedTuple):
    """The rewards of the texts that a question's candidates would make, and what they cost."""

    rewards: Tensor  # f64[m, k]
    texts: int  # that were scored: equal ones once
    seconds: float
    calls: int = 1
    tokens: int = 0


class Guiding:
    """What the reward has been asked since the round began."""

    def __init__(self) -> None:
        self.texts = self.calls = self.tokens = 0
        self.seconds = 0.0
        self.cut: StopReason | None = None

    def stop(self, question: Question, stop: Stop, rows: list[Iteration]) -> Choice | None:
        """The answer that ends the rows where they stand, where a budget is used up; None: go on.

        A round of such a method is a whole search, so it cannot wait for its end. The first token
        is always decoded, for an answer has one at least.
        """
        spent = sum(row.seconds.decode + row.seconds.reward for row in rows)
        spent += question.decode_seconds + self.seconds
        tokens = sum(row.tokens for row in rows) + question.tokens
        over: StopReason | None = None
        if stop.tokens is not None and tokens >= stop.tokens:
            over = "tokens"
        elif stop.seconds is not None and spent >= stop.seconds:
            over = "seconds"
        if over is None or question.step == 1:
            return None
        self.cut = self.cut or over
        return ended(question)

    def choose(
        self, method: Method, state: Any, question: Question, weighed: Weighed, params: Any
    ) -> Choice:
        """The method's answer."""
        self.texts += weighed.texts
        self.calls += weighed.calls
        self.tokens += weighed.tokens
        self.seconds += weighed.seconds
        assert method.choose is not None  # noqa: S101 - it asked
        return method.choose(state, question, weighed.rewards, params)

    def told(self, rollouts: Rollouts) -> Guided | None:
        """What the trace says of the round; None where no token was asked for."""
        if not self.calls:
            return None
        return Guided(
            scored_partials=self.texts,
            token_sampled=_mean(rollouts.log_ratio),
            token_exact=_mean(rollouts.kl),
            cut=self.cut,
        )


def ended(question: Question) -> Choice:
    """The answer that ends a question's rows where they stand."""
    none = torch.zeros(len(question.sample), dtype=torch.float64)
    return Choice(torch.full_like(question.sample, -1), none, none)


def _mean(values: Tensor | None) -> float | None:
    """None where it is no finite number."""
    if values is None:
        return None
    mean = float(values.mean())
    return mean if math.isfinite(mean) else None
