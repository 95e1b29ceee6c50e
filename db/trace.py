"""Traces: every round of every search, written as it happens, and the candidates kept of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from db import events
from db.holding import Claim, held
from db.models import CandidateRow, IterationRow, JobRow, PromptRow
from prelogit.core.errors import StoreError
from prelogit.core.records import Candidate, Guided, Iteration, Seconds, Trace

_SCALARS = (
    *("mean", "std", "best", "best_so_far", "ess", "lambda_", "sigma2"),
    *("kl_gaussian", "kl_token_sampled", "kl_token_exact", "step", "diversity"),
)
# Long, and of no use while a user watches.
_NOT_TOLD: dict[str, Any] = {
    **dict.fromkeys(("rewards", "weights", "finish", "population"), True),
    "held_out": {"rewards"},
}


def append(
    session: Session,
    claim: Claim,
    prompt_id: str,
    arm: int,
    iteration: Iteration,
    kept: Sequence[Candidate],
) -> None:
    """Store one round of one search, and count its costs.

    ``kept`` takes the place of the arm's kept candidates where the job keeps the best (the
    answer first), and adds to them where it keeps all.
    Raises LeaseLostError; StoreError when this round is stored already or has numbers that
    are not finite.
    """
    job, prompt = held(session, claim, prompt_id)
    _insert_iteration(session, job.id, prompt_id, arm, iteration)
    _store_kept(session, job, prompt_id, arm, kept, chosen=iteration.chosen)
    session.execute(
        update(PromptRow)
        .where(PromptRow.job_id == job.id, PromptRow.prompt_id == prompt_id)
        .values(rounds_done=prompt.rounds_done + 1, attempt=0),
        execution_options={"synchronize_session": False},
    )
    session.execute(
        update(JobRow)
        .where(JobRow.id == job.id)
        .values(
            generated_tokens=JobRow.generated_tokens + iteration.tokens,
            candidates=JobRow.candidates + len(iteration.rewards),
            reward_calls=JobRow.reward_calls + iteration.reward_calls,
            reward_tokens=JobRow.reward_tokens + iteration.reward_tokens,
            decode_seconds=JobRow.decode_seconds + iteration.seconds.decode,
            reward_seconds=JobRow.reward_seconds + iteration.seconds.reward,
            wait_seconds=JobRow.wait_seconds + iteration.seconds.wait,
        ),
        execution_options={"synchronize_session": False},
    )
    told = iteration.model_dump(mode="json", exclude=_NOT_TOLD)
    events.append(session, job.id, "iteration", {"prompt_id": prompt_id, "arm": arm, **told})


def describe(session: Session, claim: Claim, prompt_id: str, *, window: int, dim: int) -> None:
    """Store what a replay of the trace must know: tau and the width of the pre-logits.

    Raises LeaseLostError.
    """
    held(session, claim, prompt_id)
    session.execute(
        update(PromptRow)
        .where(PromptRow.job_id == claim.job_id, PromptRow.prompt_id == prompt_id)
        .values(window=window, dim=dim),
        execution_options={"synchronize_session": False},
    )


def rows(session: Session, job_id: str, prompt_id: str, arm: int) -> list[Iteration]:
    """All stored rounds of one search, in order."""
    found = session.scalars(
        select(IterationRow)
        .where(
            IterationRow.job_id == job_id,
            IterationRow.prompt_id == prompt_id,
            IterationRow.arm == arm,
        )
        .order_by(IterationRow.k)
    )
    return [_iteration(row) for row in found]


def kept(session: Session, job_id: str, prompt_id: str, arm: int) -> list[Candidate]:
    """The kept candidates of one search, ranked; by round and sample where all are kept, a chosen
    one first."""
    found = session.scalars(
        select(CandidateRow)
        .where(
            CandidateRow.job_id == job_id,
            CandidateRow.prompt_id == prompt_id,
            CandidateRow.arm == arm,
        )
        .order_by(CandidateRow.place, CandidateRow.iteration, CandidateRow.sample)
    )
    return [candidate(row) for row in found]


def trace(session: Session, job_id: str, prompt_id: str) -> Trace | None:
    """The trace of the job's method on one prompt; None when there is no such prompt."""
    found = session.execute(
        select(PromptRow.window, PromptRow.dim, JobRow.settings)
        .join(JobRow, JobRow.id == PromptRow.job_id)
        .where(PromptRow.job_id == job_id, PromptRow.prompt_id == prompt_id)
    ).one_or_none()
    if found is None:
        return None
    return Trace(
        prompt_id=prompt_id,
        method=found.settings["method"],
        seed=found.settings["seed"],
        window=found.window,
        dim=found.dim,
        iterations=tuple(rows(session, job_id, prompt_id, 0)),
    )


def candidate(row: CandidateRow) -> Candidate:
    """The record that a row stands for."""
    return Candidate.model_validate({name: getattr(row, name) for name in Candidate.model_fields})


def _insert_iteration(
    session: Session, job_id: str, prompt_id: str, arm: int, iteration: Iteration
) -> None:
    key = {"job_id": job_id, "prompt_id": prompt_id, "arm": arm, "k": iteration.k}
    if session.get(IterationRow, key) is not None:  # nobody else can write it: the row is held
        raise StoreError(
            f"round {iteration.k} of search {arm} of prompt {prompt_id!r} is stored already"
        )
    scalars: dict[str, Any] = {name: getattr(iteration, name) for name in _SCALARS}
    means = {} if iteration.held_out is None else {"held_out.mean": iteration.held_out.mean}
    for name, value in (scalars | means).items():
        if value is not None and not math.isfinite(value):
            raise StoreError(
                f"round {iteration.k} of prompt {prompt_id!r} has {name}={value}: rewards are "
                "too large to be averaged; scale the reward down"
            )
    session.execute(
        insert(IterationRow).values(
            **key,
            **scalars,
            chosen=iteration.chosen,
            final=iteration.final,
            n=len(iteration.rewards),
            tokens=iteration.tokens,
            reward_calls=iteration.reward_calls,
            reward_tokens=iteration.reward_tokens,
            decode_seconds=iteration.seconds.decode,
            reward_seconds=iteration.seconds.reward,
            wait_seconds=iteration.seconds.wait,
            rewards=iteration.rewards,
            weights=iteration.weights,
            finish=iteration.finish,
            guided=None if iteration.guided is None else iteration.guided.model_dump(),
            population=None
            if iteration.population is None
            else iteration.population.model_dump(mode="json"),
            held_out=None if iteration.held_out is None else iteration.held_out.model_dump(),
        )
    )


def _iteration(row: IterationRow) -> Iteration:
    return Iteration(
        k=row.k,
        **{name: getattr(row, name) for name in _SCALARS},
        chosen=row.chosen,
        rewards=tuple(row.rewards),
        weights=tuple(row.weights),
        finish=tuple(row.finish),
        population=row.population,
        tokens=row.tokens,
        reward_calls=row.reward_calls,
        reward_tokens=row.reward_tokens,
        seconds=Seconds(
            decode=row.decode_seconds, reward=row.reward_seconds, wait=row.wait_seconds
        ),
        final=row.final,
        guided=None if row.guided is None else Guided.model_validate(row.guided),
        held_out=row.held_out,
    )


def _store_kept(
    session: Session,
    job: JobRow,
    prompt_id: str,
    arm: int,
    kept: Sequence[Candidate],
    *,
    chosen: int | None,
) -> None:
    ranked = job.settings["keep"] == "best"
    if ranked:
        session.execute(
            delete(CandidateRow).where(
                CandidateRow.job_id == job.id,
                CandidateRow.prompt_id == prompt_id,
                CandidateRow.arm == arm,
            ),
            execution_options={"synchronize_session": False},
        )
    if kept:
        session.execute(
            insert(CandidateRow),
            [
                {
                    "job_id": job.id,
                    "prompt_id": prompt_id,
                    "arm": arm,
                    "place": place if ranked else int(chosen not in (None, one.sample)),
                    **dict(one),
                }
                for place, one in enumerate(kept)
            ],
        )
