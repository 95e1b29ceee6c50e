"""The end of a prompt: its state, its lease, and the event that tells of it."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import update
from sqlalchemy.orm import Session

from db import admission, deliveries, events
from db.models import JobRow, PromptRow

Ending = Literal["succeeded", "failed", "cancelled"]


def end(
    session: Session,
    job: JobRow,
    prompt: PromptRow,
    status: Ending,
    *,
    reward: float | None = None,
    error: str | None = None,
) -> None:
    """End a prompt; the caller holds its job's lock, and settles the job afterwards."""
    session.execute(
        update(PromptRow)
        .where(PromptRow.job_id == job.id, PromptRow.prompt_id == prompt.prompt_id)
        .values(status=status, error=error, lease_owner=None, lease_expires_at=None),
        execution_options={"synchronize_session": False},
    )
    seq = events.append(
        session,
        job.id,
        "result",
        {
            "prompt_id": prompt.prompt_id,
            "index": prompt.index,
            "status": status,
            "reward": reward,
            "error": error,
        },
    )
    deliveries.prompt_ended(session, job, seq)
    admission.freed(session, job.key_id)
