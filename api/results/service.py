"""Results, traces and candidates as they are read; an unknown id is a 404."""

from __future__ import annotations

from sqlalchemy.orm import Session

from api.errors import missing
from db import jobs, results
from db import trace as traces
from prelogit.core.records import Candidate, Result, Trace

METHOD_ARM = 0


def known_job(session: Session, job_id: str) -> str:
    """The job's status. Raises ProblemError 404 when there is no such job."""
    status = jobs.status(session, job_id)
    if status is None:
        raise missing(f"job {job_id}")
    return status


def read_result(session: Session, job_id: str, prompt_id: str) -> Result:
    """One result. Raises ProblemError 404 for an unknown job or prompt."""
    known_job(session, job_id)
    result = results.read(session, job_id, prompt_id)
    if result is None:
        raise missing(f"prompt {prompt_id!r} of job {job_id}")
    return result


def read_trace(session: Session, job_id: str, prompt_id: str) -> Trace:
    """All iterations of the job's method so far. Raises ProblemError 404."""
    known_job(session, job_id)
    found = traces.trace(session, job_id, prompt_id)
    if found is None:
        raise missing(f"prompt {prompt_id!r} of job {job_id}")
    return found


def read_candidates(session: Session, job_id: str, prompt_id: str) -> list[Candidate]:
    """What the job's method has kept so far. Raises ProblemError 404."""
    read_trace(session, job_id, prompt_id)
    return traces.kept(session, job_id, prompt_id, METHOD_ARM)
