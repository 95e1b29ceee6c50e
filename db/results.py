"""Results: one a prompt, written under the lease, read while the job still runs."""

from __future__ import annotations

import math

from sqlalchemy import Select, insert, select
from sqlalchemy.orm import Session, defer

from db import cursor as cursors
from db import ending, unfinished
from db.holding import Claim, held
from db.lifecycle import settle
from db.models import BaselineRow, IterationRow, JobRow, PromptRow, ResultRow
from prelogit.core.errors import StoreError
from prelogit.core.records import Result
from prelogit.wire.jobs import ENDED


def finish(session: Session, claim: Claim, prompt_id: str, result: Result) -> None:
    """Store what a search ended with, end its prompt and settle its job.

    Raises LeaseLostError, also for a second result; StoreError for one that is none: of
    another prompt, not ended, or said to have succeeded without a response and a reward.
    """
    job, prompt = held(session, claim, prompt_id)
    if result.prompt_id != prompt_id:
        raise StoreError(f"a result of prompt {result.prompt_id!r} was given for {prompt_id!r}")
    if result.status == "queued" or result.status == "running":
        raise StoreError(f"the result of prompt {prompt_id!r} is still {result.status}")
    if result.status == "succeeded" and (
        result.response is None or result.reward is None or not math.isfinite(result.reward)
    ):
        raise StoreError(f"prompt {prompt_id!r} cannot succeed without a response and a reward")
    stored = result.model_copy(update={"job_id": job.id, "index": prompt.index})
    succeeded = stored.status == "succeeded"
    first_mean = session.scalar(
        select(IterationRow.mean).where(
            IterationRow.job_id == job.id,
            IterationRow.prompt_id == prompt_id,
            IterationRow.arm == 0,
            IterationRow.k == 1,
        )
    )
    session.execute(
        insert(ResultRow).values(
            job_id=job.id,
            prompt_id=prompt_id,
            succeeded=succeeded,
            reward=stored.reward,
            first_mean=first_mean,
            body=stored.model_dump(mode="json", by_alias=True),
        )
    )
    if succeeded and stored.baselines:
        session.execute(
            insert(BaselineRow),
            [
                {
                    "job_id": job.id,
                    "prompt_id": prompt_id,
                    "arm": arm,
                    "reward": baseline.reward,
                    "margin": baseline.margin,
                    "expected_margin": baseline.expected_margin,
                }
                for arm, baseline in enumerate(stored.baselines, start=1)
            ],
        )
    ending.end(session, job, prompt, result.status, reward=stored.reward, error=stored.error)
    settle(session, job.id)


def fail(session: Session, claim: Claim, prompt_id: str, error: str) -> None:
    """End a prompt with the reason why it failed; its trace stays. Raises LeaseLostError."""
    job, prompt = held(session, claim, prompt_id)
    ending.end(session, job, prompt, "failed", error=error)
    settle(session, job.id)


def read(session: Session, job_id: str, prompt_id: str) -> Result | None:
    """The result of a prompt, None when there is no such prompt.

    A prompt without a stored result shows its state, and its best so far where it has a trace.
    """
    found = _results(session, job_id, _query(job_id).where(PromptRow.prompt_id == prompt_id))
    return found[0] if found else None


def page(
    session: Session, job_id: str, *, limit: int, cursor: str | None
) -> tuple[list[Result], str | None]:
    """Results of all prompts, ended or not, in the order of the prompts; and the next cursor.

    Raises InputError for a cursor that is not one of ours.
    """
    after = -1 if cursor is None else cursors.decode(cursor, int)[0]
    query = _query(job_id).where(PromptRow.index > after).order_by(PromptRow.index)
    found = _results(session, job_id, query.limit(limit + 1))
    if len(found) <= limit:
        return found, None
    return found[:limit], cursors.encode(found[limit - 1].index)


def stream(session: Session, job_id: str, *, after_index: int = -1, limit: int) -> list[Result]:
    """At most ``limit`` results of ended prompts that stand after ``after_index``, in order."""
    query = _query(job_id).where(PromptRow.index > after_index, PromptRow.status.in_(ENDED))
    return _results(session, job_id, query.order_by(PromptRow.index).limit(limit))


def _query(job_id: str) -> Select[PromptRow, ResultRow]:
    return (
        select(PromptRow, ResultRow)
        .outerjoin(
            ResultRow,
            (ResultRow.job_id == PromptRow.job_id) & (ResultRow.prompt_id == PromptRow.prompt_id),
        )
        .where(PromptRow.job_id == job_id)
        .options(defer(PromptRow.item, raiseload=True))  # no result shows it, and it may be long
        .execution_options(populate_existing=True)
    )


def _results(session: Session, job_id: str, query: Select[PromptRow, ResultRow]) -> list[Result]:
    found = [(prompt, result) for prompt, result in session.execute(query)]
    open_prompts = [prompt for prompt, result in found if result is None]
    settings = session.scalar(select(JobRow.settings).where(JobRow.id == job_id))
    if settings is None:
        return []
    best = unfinished.results(session, job_id, settings, open_prompts)
    return [
        best[prompt.prompt_id] if result is None else Result.model_validate(result.body)
        for prompt, result in found
    ]
