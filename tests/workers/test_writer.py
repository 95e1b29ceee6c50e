"""A worker that wakes after its lease writes nothing of the job, beside its prompts neither."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from db import leases
from db.models import JobRow, PromptRow
from db.session import now, reading
from prelogit.engine.report import report
from tests.db.test_probes import FIRST
from tests.workers.conftest import DeskMaker
from workers.desk import Desk
from workers.heartbeat import Held
from workers.spans import Spans
from workers.writer import Writer

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]


def writer(store: Store, claim: leases.Claim, desk: Desk) -> Writer:
    return Writer(
        store,
        Held(claim),
        lease_seconds=60,
        stopping=lambda: False,
        engine=lambda: report(desk.model, 8),
        metrics=desk.metrics,
        spans=Spans(claim, None),
    )


def test_a_worker_that_wakes_late_says_nothing_of_engine_or_reward(
    store: Store, post: Post, make_desk: DeskMaker
) -> None:
    job_id, group_id = post(["Are you asleep?"])
    desk = make_desk()

    def claim(owner: str) -> leases.Claim:
        with store.begin() as session:
            session.execute(update(PromptRow).values(lease_expires_at=now() - timedelta(seconds=1)))
            found = leases.claim(
                session, group_id, owner=owner, model=desk.model.name, ttl_seconds=60
            )
        assert found is not None
        return found

    def told() -> tuple[object, object]:
        with reading(store) as session:
            row = session.execute(select(JobRow.engine, JobRow.probe).where(JobRow.id == job_id))
            engine, probe = row.one()
        return engine, probe

    late = writer(store, claim("late"), desk)
    heir = writer(store, claim("heir"), desk)
    late.probed(FIRST, held_out=False)
    late.give_back(["p1"])
    assert told() == (None, None)
    heir.probed(FIRST, held_out=False)
    assert all(told())
