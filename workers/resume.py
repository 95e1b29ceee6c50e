"""From stored rows to searches that go on where an earlier worker stopped."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from db import prompts, trace
from db.leases import Claim
from prelogit.search.share import Share, share_of
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


def pool_share(session: Session, claim: Claim, wanted: Collection[str]) -> Share | None:
    """What the wanted prompts may have of the job's budget, after what their group has had."""
    if claim.request.budget is None:
        return None
    pool = prompts.pool(session, claim)
    others = [prompt for prompt in pool.places if prompt not in wanted]
    rows = {prompt: trace.rows(session, claim.job_id, prompt, 0) for prompt in others}
    return share_of(
        claim.request,
        pool.places,
        prompts=pool.prompts,
        ended={prompt: rows[prompt] for prompt in others if prompt in pool.ended},
        elsewhere={prompt: rows[prompt] for prompt in others if prompt not in pool.ended},
    )


def _stored(session: Session, job_id: str, prompt_id: str, arm: int) -> Stored:
    return Stored(
        tuple(trace.rows(session, job_id, prompt_id, arm)),
        tuple(trace.kept(session, job_id, prompt_id, arm)),
    )
