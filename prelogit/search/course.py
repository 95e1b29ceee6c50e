"""One search under way: the method's state, its trace, and the candidates that are kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from torch import Tensor

from prelogit.core.ranking import distinct, rank
from prelogit.core.records import Candidate, FinishReason, Iteration, Kl, Seconds, StopReason
from prelogit.search.guiding import Guiding, Weighed
from prelogit.search.plan import Choice, Method, Plan, Question, Rollouts, Shape
from prelogit.search.stop import why_stop
from prelogit.wire.jobs import Stop

Keep = Literal["best", "all"]
Ending = Literal["done", "cancelled", "abandoned", "failed"]


class Search(NamedTuple):
    """What is searched, by which method; ``rows`` and ``kept`` are what an earlier run stored."""

    method: Method
    params: Any
    shape: Shape
    keep: Keep = "best"
    top_k: int = 1
    stop: Stop = Stop()
    rows: tuple[Iteration, ...] = ()
    kept: tuple[Candidate, ...] = ()


class Scored(NamedTuple):
    """A round's texts and their rewards (f64[n]), and what scoring them took."""

    texts: list[str]
    rewards: Tensor
    seconds: float
    calls: int = 1
    tokens: int = 0


class Outcome(NamedTuple):
    """What a search ended with; ``kept`` has the answer first, ``stopped`` says why it ended early."""

    ending: Ending
    rows: tuple[Iteration, ...]
    kept: tuple[Candidate, ...]
    kl: Kl
    warnings: tuple[str, ...] = ()
    error: str | None = None
    stopped: StopReason | None = None


class Course:
    """A search between its first question and its outcome."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.state = search.method.restore(search.rows, search.params, search.shape)
        self.rows = list(search.rows)
        self.kept = rank(search.kept, self.rows)
        self.stopped: StopReason | None = None
        self.asked = 0.0  # when the plan under way was asked for
        self.guiding = Guiding()

    def ask(self, *, spent: bool = False) -> Plan | None:
        """The next plan, or None when the method is done or a limit ends it before.

        Args: spent: whether the job's budget has no more rounds for this search.
        """
        self.asked = time.perf_counter()
        plan: Plan | None = self.search.method.ask(self.state, self.search.params)
        if plan is not None:
            limit = why_stop(self.search.stop, self.rows, plan.samples)
            self.stopped = limit or ("budget" if spent else None)
        return plan if self.stopped is None else None

    def target(self) -> Plan | None:
        """The plan that measures the aligned model's KL, where the method has one."""
        self.asked = time.perf_counter()
        plan: Plan | None = self.search.method.target(self.state, self.search.params)
        return plan

    def stop(self, question: Question) -> Choice | None:
        """The answer that ends the question's rows, where a budget is used up; None: go on."""
        return self.guiding.stop(question, self.search.stop, self.rows)

    def choose(self, question: Question, weighed: Weighed) -> Choice:
        """The method's answer to a question."""
        search = self.search
        return self.guiding.choose(search.method, self.state, question, weighed, search.params)

    def tell(self, rollouts: Rollouts, scored: Scored) -> tuple[Iteration, tuple[Candidate, ...]]:
        """Update method, trace and kept candidates; returns the row and what to store with it."""
        k, rewards = len(self.rows) + 1, scored.rewards
        self.state, info = self.search.method.tell(
            self.state, rollouts, rewards, self.search.params
        )
        drawn = candidates(k, rollouts, scored.texts, rewards)
        values = [candidate.reward for candidate in drawn]
        best = max(values)
        elapsed = time.perf_counter() - self.asked
        guiding, self.guiding = self.guiding, Guiding()
        reward_seconds = guiding.seconds + scored.seconds
        row = Iteration(
            k=k,
            mean=float(rewards.mean()),
            std=float(rewards.std(correction=0)),
            best=best,
            best_so_far=max(best, self.rows[-1].best_so_far) if self.rows else best,
            ess=info.ess,
            lambda_=info.lambda_,
            sigma2=info.sigma2,
            kl_gaussian=info.kl_gaussian,
            kl_token_sampled=info.kl_token_sampled,
            kl_token_exact=info.kl_token_exact,
            step=info.step,
            chosen=info.chosen,
            rewards=tuple(values),
            weights=info.weights,
            finish=tuple(candidate.finish_reason for candidate in drawn),
            tokens=int(rollouts.length.sum()),
            reward_calls=guiding.calls + scored.calls,
            reward_tokens=guiding.tokens + scored.tokens,
            seconds=Seconds(
                decode=rollouts.decode_seconds,
                reward=reward_seconds,
                # Neither decoded nor scored: waiting for room in the batch or for the loop.
                wait=max(0.0, elapsed - rollouts.live_seconds - reward_seconds),
            ),
            final=info.final,
            guided=guiding.told(rollouts),
            population=info.population,
        )
        self.rows.append(row)
        self.kept = rank([*self.kept, *drawn], self.rows)
        if self.search.keep == "all":
            return row, drawn
        self.kept = distinct(self.kept)[: self.search.top_k]
        return row, tuple(self.kept)

    def _kl(self) -> Kl:
        """What the last row says of it."""
        if not self.rows:
            return Kl()
        last = self.rows[-1]
        return Kl(
            gaussian=last.kl_gaussian,
            token_sampled=last.guided.token_sampled if last.guided else last.kl_token_sampled,
            token_exact=last.guided.token_exact if last.guided else last.kl_token_exact,
        )

    def outcome(self, ending: Ending, *, kl: Kl | None = None, error: str | None = None) -> Outcome:
        """How it ended."""
        search = self.search
        guided = self.rows[-1].guided if self.rows else None
        return Outcome(
            ending,
            tuple(self.rows),
            tuple(self.kept),
            kl or self._kl(),
            search.method.warn(self.rows, search.params, search.shape),
            error,
            self.stopped or (guided.cut if guided else None),
        )


def candidates(
    k: int, rollouts: Rollouts, texts: Sequence[str], rewards: Tensor
) -> tuple[Candidate, ...]:
    """The round's rollouts with their texts and rewards."""
    made = []
    for sample, (ids, length, stopped, text, reward) in enumerate(
        zip(
            rollouts.token_ids.tolist(),
            rollouts.length.tolist(),
            rollouts.stopped.tolist(),
            texts,
            rewards.tolist(),
            strict=True,
        )
    ):
        finish: FinishReason = "stop" if stopped else "length"
        made.append(
            Candidate(
                iteration=k,
                sample=sample,
                token_ids=tuple(ids[:length]),
                text=text,
                reward=reward,
                finish_reason=finish,
            )
        )
    return tuple(made)
