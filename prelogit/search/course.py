"""One search under way: the method's state, its trace, and the candidates that are kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from torch import Tensor

from prelogit.core.guard import HeldOut
from prelogit.core.ranking import distinct, rank
from prelogit.core.records import Candidate, FinishReason, Iteration, Kl, Seconds, StopReason
from prelogit.metrics.diversity import mean_diversity
from prelogit.search.guiding import Guiding, Weighed
from prelogit.search.picks import picked
from prelogit.search.plan import Choice, Method, Plan, Question, Rollouts, Shape
from prelogit.search.stop import kl_of, why_stop
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
    """A round's texts and their rewards (f64[n]), and what scoring them took.

    ``held_out``: what a second reward says of them (f64[n]); it never steers. ``truncated``: which of
    them the steering reward has not read whole; None: it does not say.
    """

    texts: list[str]
    rewards: Tensor
    seconds: float
    calls: int = 1
    tokens: int = 0
    held_out: Tensor | None = None
    truncated: Sequence[bool] | None = None


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
        self.kept = self._worth_keeping(search.kept)
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
        drawn = candidates(k, rollouts, scored)
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
            held_out=None if scored.held_out is None else self._held_out(values, scored.held_out),
            diversity=mean_diversity([candidate.token_ids for candidate in drawn]),
        )
        self.rows.append(row)
        self.kept = self._worth_keeping([*self.kept, *drawn])
        return row, drawn if self.search.keep == "all" else tuple(self.kept)

    def _worth_keeping(self, found: Sequence[Candidate]) -> list[Candidate]:
        """All, or the best few; behind those what another criterion picks, which no later round
        could bring back."""
        ranked = rank(found, self.rows)
        if self.search.keep == "all":
            return ranked
        few = distinct(ranked)[: self.search.top_k]
        others = set(picked(ranked, self.rows, self.search.stop)) - {None, *few}
        return [*few, *(one for one in ranked if one in others)]

    def _held_out(self, rewards: Sequence[float], held_out: Tensor) -> HeldOut:
        """What the trace says of the held-out rewards of a round, whose rewards are told first."""
        told = held_out.tolist()
        before = self.rows[-1].held_out if self.rows else None
        rose = before is None or max(rewards) > self.rows[-1].best_so_far
        return HeldOut(
            mean=float(held_out.mean()),
            best=max(told),
            of_best=told[rewards.index(max(rewards))] if before is None or rose else before.of_best,
            best_so_far=max(told) if before is None else max(before.best_so_far, *told),
            rewards=tuple(told),
        )

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
            (*search.method.warn(self.rows, search.params, search.shape), *self._no_kl()),
            error,
            self.stopped or (guided.cut if guided else None),
        )

    def _no_kl(self) -> tuple[str, ...]:
        """A limit that could not be held is no limit: that is said."""
        if self.search.stop.kl is None or not self.rows or any(map(_has_kl, self.rows)):
            return ()
        return (
            f"stop.kl has stopped nothing: the method {self.search.params.name} has no KL of its "
            "rounds; leave it out, or take aisp",
        )


def _has_kl(row: Iteration) -> bool:
    return kl_of(row) is not None


def candidates(k: int, rollouts: Rollouts, scored: Scored) -> tuple[Candidate, ...]:
    """The round's rollouts with their texts and rewards."""
    made = []
    unsaid = [None] * len(scored.texts)
    held_out = unsaid if scored.held_out is None else scored.held_out.tolist()
    cut = unsaid if scored.truncated is None else scored.truncated
    for sample, (ids, length, stopped, text, reward, second, truncated) in enumerate(
        zip(
            rollouts.token_ids.tolist(),
            rollouts.length.tolist(),
            rollouts.stopped.tolist(),
            scored.texts,
            scored.rewards.tolist(),
            held_out,
            cut,
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
                held_out=second,
                truncated=truncated,
                finish_reason=finish,
            )
        )
    return tuple(made)
