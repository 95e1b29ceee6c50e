"""Claims and fencing: proof, at every write, that the writer still holds the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.lifecycle import lock
from db.models import JobRow, PromptRow
from prelogit.core.errors import LeaseLostError
from prelogit.wire.jobs import JobRequest


@dataclass(frozen=True)
class ClaimedPrompt:
    """A prompt under a lease. ``fence`` is the number of this claim, ``attempt`` the number of
    claims (this one counted) since the prompt last made progress."""

    prompt_id: str
    index: int
    fence: int
    attempt: int


@dataclass(frozen=True)
class Claim:
    """Prompts of one group, leased by ``owner``.

    ``request`` is the job's, with the claimed prompts only: a job of ten thousand prompts is
    not read whole for every few of them.
    """

    job_id: str
    group_id: str
    owner: str
    request: JobRequest
    prompts: tuple[ClaimedPrompt, ...]

    def fence(self, prompt_id: str) -> int | None:
        """The fence of a claimed prompt, None for any other."""
        return next((p.fence for p in self.prompts if p.prompt_id == prompt_id), None)


class Held(NamedTuple):
    """The rows behind a claimed prompt, both locked until the transaction ends."""

    job: JobRow
    prompt: PromptRow


def held(session: Session, claim: Claim, prompt_id: str) -> Held:
    """Lock a claimed prompt and its job.

    A lease that is over but that nobody else has taken still counts: the fence decides.
    Raises LeaseLostError unless owner and fence match and the prompt is running.
    """
    job = lock(session, claim.job_id)
    prompt = session.scalar(
        select(PromptRow)
        .where(PromptRow.job_id == claim.job_id, PromptRow.prompt_id == prompt_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if job is None or prompt is None or not _matches(prompt, claim):
        raise LeaseLostError(
            f"the lease on prompt {prompt_id!r} of {claim.job_id} is lost: another worker has "
            "it, or it has ended; nothing was written"
        )
    return Held(job, prompt)


def held_ids(session: Session, claim: Claim) -> list[str]:
    """Ids of the claimed prompts that are still held, in order of the prompts, all locked."""
    lock(session, claim.job_id)
    prompts = session.scalars(
        select(PromptRow)
        .where(PromptRow.group_id == claim.group_id)
        .order_by(PromptRow.index)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return [prompt.prompt_id for prompt in prompts if _matches(prompt, claim)]


def _matches(prompt: PromptRow, claim: Claim) -> bool:
    return (
        prompt.status == "running"
        and prompt.lease_owner == claim.owner
        and prompt.fence == claim.fence(prompt.prompt_id)
    )
