"""What the probes of a job's rewards found out, as the worker says that made them."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.models import JobRow
from prelogit.wire.probe import Probe


def report(session: Session, job_id: str, probe: Probe, *, held_out: bool = False) -> None:
    """Store it with the job; of several workers the first to write is shown.

    held_out: it is of the reward that does not steer.
    """
    column = _column(held_out)
    session.execute(
        update(JobRow)
        .where(JobRow.id == job_id, column.is_(None))
        .values({column: probe.model_dump(mode="json")}),
        execution_options={"synchronize_session": False},
    )


def known(session: Session, job_id: str, *, held_out: bool = False) -> bool:
    """Whether the job has a report."""
    found = select(JobRow.id).where(JobRow.id == job_id, _column(held_out).is_not(None))
    return session.scalar(found) is not None


def _column(held_out: bool) -> InstrumentedAttribute[dict[str, object] | None]:
    return JobRow.held_out_probe if held_out else JobRow.probe
