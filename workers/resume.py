"""From stored rows to searches that go on where an earlier worker stopped."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from db import prompts, trace
from db.leases import Claim
from prelogit.solve import PromptJob, Stored


def prompt_jobs(session: Session, claim: Claim, wanted: Collection[str]) -> list[PromptJob]:
    """The wanted prompts of a claim with what is stored of each of their arms."""
    arms = range(1 + len(claim.request.baselines))
    return [
        PromptJob(
            spec.prompt_id,
            spec.index,
            spec.item,
            {arm: _stored(session, claim.job_id, spec.prompt_id, arm) for arm in arms},
        )
        for spec in prompts.spec(session, claim)
        if spec.prompt_id in wanted
    ]


def _stored(session: Session, job_id: str, prompt_id: str, arm: int) -> Stored:
    return Stored(
        tuple(trace.rows(session, job_id, prompt_id, arm)),
        tuple(trace.kept(session, job_id, prompt_id, arm)),
    )
