"""Writes what a search reports, under its claim: one report is one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from sqlalchemy.orm import Session, sessionmaker

from db import engines, holding, jobs, leases, probes, results, trace
from prelogit.core.errors import LeaseLostError
from prelogit.core.records import Candidate, Iteration, ModelRef, Result
from prelogit.search.driver import Verdict
from prelogit.solve import Callbacks
from prelogit.telemetry.place import at
from prelogit.wire.jobs import JobEngine
from prelogit.wire.probe import Probe
from workers.heartbeat import Held
from workers.metrics import Metrics
from workers.spans import Spans
from workers.store import transaction

log = logging.getLogger("prelogit.workers.writer")


class Writer:
    """The pen of one claim. A prompt that another worker holds is left alone from then on.

    ``engine`` says what decodes the job now; it is written beside the first report, and again
    when it has changed.
    """

    def __init__(
        self,
        store: sessionmaker[Session],
        held: Held,
        *,
        lease_seconds: float,
        stopping: Callable[[], bool],
        engine: Callable[[], JobEngine],
        metrics: Metrics,
        spans: Spans,
    ) -> None:
        self._metrics, self.spans = metrics, spans
        self.held, self.claim = held, held.claim
        self._engine = engine
        self._told: JobEngine | None = None  # what the store has of it
        self._store, self._lease_seconds, self._stopping = store, lease_seconds, stopping

    def callbacks(self) -> Callbacks:
        """What ``solve`` is to report to."""
        return Callbacks(self._on_prompt, self._on_iteration, self._on_result)

    def probed(self, report: Probe, *, held_out: bool) -> None:
        """What was found out about the job's reward, or about its held-out one."""

        def work(session: Session) -> None:
            if holding.held_ids(session, self.claim):  # else it is for those to say who hold them
                probes.report(session, self.claim.job_id, report, held_out=held_out)

        self._write(work)

    def fail(self, prompt_id: str, reason: str) -> None:
        """The prompt ends without a result, with the reason; its trace stays."""
        self._end(
            prompt_id,
            lambda session: results.fail(session, self.claim, prompt_id, reason),
            "failed",
            reason,
        )

    def give_back(self, prompt_ids: Collection[str]) -> None:
        """The prompts return to the queue, to go on from what is stored.

        In a job that is being cancelled they end instead, with their best so far.
        """
        for prompt_id in prompt_ids:
            self.held.close(prompt_id)
        cancelled = 0

        def release(session: Session) -> None:
            nonlocal cancelled
            cancelled = leases.release(session, self.claim, prompt_ids)

        self._write(release)
        for _ in range(cancelled):
            self._metrics.ended("cancelled")
        log.info("given back job=%s prompts=%d", self.claim.job_id, len(prompt_ids))

    def _write(self, work: Callable[[Session], object]) -> None:
        engine = self._engine()

        def told(session: Session) -> None:
            changed = engine != self._told  # its rows may be fewer than before
            if changed and holding.held_ids(session, self.claim):
                engines.report(session, self.claim.job_id, engine)
            work(session)

        # Longer than a lease makes no sense: another worker has the prompts by then. But one that is
        # full or read-only refuses the other worker too, which would count as a death over the
        # prompts. Should it let the other one through after all, that one's fence ends the wait.
        transaction(
            self._store,
            told,
            patience_seconds=self._lease_seconds,
            stopping=self._stopping,
        )
        self._told = engine

    def _on_prompt(self, prompt_id: str, window: int, dim: int) -> None:
        self.spans.prompt(prompt_id)
        try:
            self._write(
                lambda session: trace.describe(
                    session, self.claim, prompt_id, window=window, dim=dim
                )
            )
        except LeaseLostError:
            self.held.lose(prompt_id)  # its first row would be refused as well

    def _on_iteration(
        self, prompt_id: str, arm: int, row: Iteration, kept: tuple[Candidate, ...]
    ) -> Verdict:
        with at(prompt=prompt_id, arm=arm, iteration=row.k):
            return self._iterated(prompt_id, arm, row, kept)

    def _iterated(
        self, prompt_id: str, arm: int, row: Iteration, kept: tuple[Candidate, ...]
    ) -> Verdict:
        if prompt_id not in self.held.open:
            return "abandon"
        cancelled = False

        def work(session: Session) -> None:
            nonlocal cancelled
            trace.append(session, self.claim, prompt_id, arm, row, kept)
            leases.renew(session, self.claim, ttl_seconds=self._lease_seconds)
            cancelled = jobs.cancel_requested(session, self.claim.job_id)

        try:
            self._write(work)
        except LeaseLostError:
            self.held.lose(prompt_id)
            return "abandon"
        self._metrics.iterated(row)
        self.spans.iterated(prompt_id, arm, row)
        log.info(
            "iteration job=%s prompt=%r arm=%d k=%d best=%.6g best_so_far=%.6g tokens=%d "
            "decode=%.2fs reward=%.2fs wait=%.2fs",
            *(self.claim.job_id, prompt_id, arm, row.k, row.best, row.best_so_far, row.tokens),
            *(row.seconds.decode, row.seconds.reward, row.seconds.wait),
        )
        if cancelled:
            return "cancel"
        return "abandon" if self._stopping() else "continue"

    def _on_result(self, result: Result) -> None:
        named = result.reward_model or ModelRef(name=self.claim.request.reward.shown)
        result = result.model_copy(update={"job_id": self.claim.job_id, "reward_model": named})
        self._end(
            result.prompt_id,
            lambda session: results.finish(session, self.claim, result.prompt_id, result),
            result.status,
            result.error,
        )

    def _end(
        self, prompt_id: str, work: Callable[[Session], object], status: str, error: str | None
    ) -> None:
        if prompt_id not in self.held.open:
            return
        with at(prompt=prompt_id):
            self._ended(prompt_id, work, status, error)

    def _ended(
        self, prompt_id: str, work: Callable[[Session], object], status: str, error: str | None
    ) -> None:
        self.held.close(prompt_id)  # before the row is there, so that no beat takes it for lost
        try:
            self._write(work)
        except LeaseLostError:
            self.held.on_loss()
            log.warning("lease lost job=%s prompt=%r at its end", self.claim.job_id, prompt_id)
            return
        except Exception:
            self.held.reopen(prompt_id)
            raise
        self._metrics.ended(status)
        self.spans.ended(prompt_id, status)
        said = f"{status}: {error}" if error else status
        level = logging.WARNING if status == "failed" else logging.INFO
        log.log(level, "ended job=%s prompt=%r %s", self.claim.job_id, prompt_id, said)
