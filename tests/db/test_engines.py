"""What decodes a job is shown with it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session, sessionmaker

from db import engines, jobs
from db.session import reading
from prelogit.wire.jobs import EngineMemory, JobEngine

MEMORY = EngineMemory(
    budget_bytes=None, weights_bytes=2**40, row_bytes=3 * 10**9, prefix_token_bytes=4
)
FIRST = JobEngine(device="cpu", dtype="float32", attention="shared", rows=128, memory=MEMORY)


def test_the_last_report_is_shown_and_none_before_the_first(
    store: sessionmaker[Session], post: Callable[..., jobs.Created]
) -> None:
    created, other = post(2), post(1)
    later = FIRST.model_copy(update={"rows": 64, "halved": 1})
    for told in (FIRST, later):
        with store.begin() as session:
            engines.report(session, created.job_id, told)
    with reading(store) as session:
        listed, _ = jobs.listing(session, status=None, limit=9, cursor=None)
    assert {job.id: job.engine for job in listed} == {created.job_id: later, other.job_id: None}
