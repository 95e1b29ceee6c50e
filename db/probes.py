"""What the probe of a job's reward found out, as the worker says that made it."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.models import JobRow
from prelogit.wire.probe import Probe


def report(session: Session, job_id: str, probe: Probe) -> None:
    """Store it with the job; of several workers the first to write is shown."""
    session.execute(
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.probe.is_(None))
        .values(probe=probe.model_dump(mode="json")),
        execution_options={"synchronize_session": False},
    )


def known(session: Session, job_id: str) -> bool:
    """Whether the job has a report."""
    found = select(JobRow.id).where(JobRow.id == job_id, JobRow.probe.is_not(None))
    return session.scalar(found) is not None
