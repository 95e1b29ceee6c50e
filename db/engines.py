"""What decodes a job, as its worker says."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from db.models import JobRow
from prelogit.wire.jobs import JobEngine


def report(session: Session, job_id: str, engine: JobEngine) -> None:
    """Store it with the job; of several workers the last to write is shown."""
    session.execute(
        update(JobRow).where(JobRow.id == job_id).values(engine=engine.model_dump(mode="json")),
        execution_options={"synchronize_session": False},
    )
