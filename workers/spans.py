"""The spans of one claim: the group, its probe, its prompts, their rounds and calls for rewards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from db.leases import Claim
from prelogit.core.records import Iteration
from prelogit.rewards.protocol import Score, Scores
from prelogit.telemetry import tracing
from prelogit.telemetry.place import here

if TYPE_CHECKING:
    from opentelemetry.trace import Span

Round = tuple[str, int]  # prompt id and arm


class Spans:
    """Continues the trace of the request that queued the group. Does nothing where tracing is off.

    A round's span begins where the one before it ended, and is opened by the first that needs it.
    """

    def __init__(self, claim: Claim, traceparent: str | None) -> None:
        self._group = tracing.open_span(
            "group",
            within={tracing.HEADER: traceparent} if traceparent else None,
            job=claim.job_id,
            group=claim.group_id,
            prompts=len(claim.prompts),
            model=str(claim.request.model),
        )
        self._job = claim.job_id
        self._prompts: dict[str, Span] = {}
        self._rounds: dict[Round, Span] = {}
        self._since: dict[Round, int] = {}
        self._began: dict[str, int] = {}

    @contextmanager
    def probing(self, rewards: int) -> Iterator[None]:
        """So many of the job's rewards are looked at before its first round; their calls are within."""
        span = tracing.open_span("probe", within=self._group, job=self._job, rewards=rewards)
        with tracing.entered(span):
            yield

    def prompt(self, prompt_id: str) -> None:
        """Its search begins, perhaps not for the first time."""
        if self._group is None or prompt_id in self._prompts:
            return
        span = tracing.open_span("prompt", within=self._group, job=self._job, prompt=prompt_id)
        if span is not None:
            self._prompts[prompt_id] = span
            self._began[prompt_id] = tracing.nanoseconds()

    def iterated(self, prompt_id: str, arm: int, row: Iteration) -> None:
        """A round was stored."""
        span = self._round(prompt_id, arm)
        if span is None:
            return
        span.set_attribute("prelogit.iteration", row.k)
        span.set_attribute("prelogit.final", row.final)
        span.set_attribute("prelogit.best", row.best)
        span.set_attribute("prelogit.tokens", row.tokens)
        for part in ("decode", "reward", "wait"):
            span.set_attribute(f"prelogit.{part}_seconds", getattr(row.seconds, part))
        span.end()
        del self._rounds[prompt_id, arm]
        self._since[prompt_id, arm] = tracing.nanoseconds()

    def ended(self, prompt_id: str, status: str) -> None:
        """The prompt's end was stored, or it leaves this worker."""
        for at in [at for at in self._rounds if at[0] == prompt_id]:
            self._rounds.pop(at).end()
        span = self._prompts.pop(prompt_id, None)
        if span is not None:
            span.set_attribute("prelogit.status", status)
            if status == "failed":
                tracing.failed(span, "the prompt failed: its result says why")
            span.end()

    def close(self) -> None:
        """The claim is done with; what is still open left it unfinished."""
        for prompt_id in list(self._prompts):
            self.ended(prompt_id, "left")
        if self._group is not None:
            self._group.end()

    def called(self, score: Score, role: str) -> Score:
        """The same reward, each of whose calls is a span of the round that asks."""

        async def scored(conversations: list[list[dict[str, str]]], responses: list[str]) -> Scores:
            place = here()
            around = self._group
            if place.prompt is not None and place.arm is not None:
                around = self._round(place.prompt, place.arm) or around
            span = tracing.open_span(
                "reward", within=around, kind="client", role=role, responses=len(responses)
            )
            with tracing.entered(span):
                return await score(conversations, responses)

        return scored

    def _round(self, prompt_id: str, arm: int) -> Span | None:
        around = self._prompts.get(prompt_id)
        if around is None:
            return None
        at = prompt_id, arm
        if at not in self._rounds:
            span = tracing.open_span(
                "iteration",
                within=around,
                since=self._since.get(at, self._began[prompt_id]),
                job=self._job,
                prompt=prompt_id,
                arm=arm,
            )
            if span is not None:
                self._rounds[at] = span
        return self._rounds.get(at)
