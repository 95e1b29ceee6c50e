"""What there is to do is counted by model and status, and what has ended is left alone."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from db import census, deliveries, jobs, outbox
from db.census import Census
from db.models import DeliveryRow, GroupRow, JobRow
from db.session import make_engine, now, reading, sessions
from tests.api.worker import Worker
from tests.workers.stack import post_job


def counted(store: sessionmaker[Session]) -> Census:
    with reading(store) as session:
        return census.take(session, silence_seconds=60)


def age(store: sessionmaker[Session], job_id: str, by: timedelta) -> None:
    """As if all that has happened to the job had happened so long ago."""
    then = now() - by
    with store.begin() as session:
        session.execute(
            update(JobRow).where(JobRow.id == job_id).values(created_at=then, served_at=then)
        )
        session.execute(update(GroupRow).where(GroupRow.job_id == job_id).values(woken_at=then))


def test_an_empty_store_has_nothing_to_do(store_url: str) -> None:
    engine = make_engine(store_url)
    assert counted(sessions(engine)) == Census({}, {}, {}, 0, {}, 0, 0.0)
    engine.dispose()


def test_prompts_are_counted_by_model_and_status(store_url: str) -> None:
    engine = make_engine(store_url)
    store = sessions(engine)
    worker = Worker(store)
    # A request may hold what neither PostgreSQL's JSON nor UTF-8 can.
    first = post_job(store, "small", ["a", "b", "c"], metadata={"note": "\x00 \ud800"})
    claim = worker.claim(first.group_ids[0])
    worker.finish(claim, claim.prompts[0].prompt_id)
    second = post_job(store, "large", ["a", "b"])
    ended = post_job(store, "large", ["a"])
    worker.run(worker.claim(ended.group_ids[0]))
    worker.beat("small")
    Worker(store, "another").beat("small")
    age(store, second.job_id, timedelta(hours=1))
    found = counted(store)
    assert found.jobs == {"running": 1, "queued": 1}
    assert found.prompts == {
        ("small", "succeeded"): 1, ("small", "running"): 2, ("large", "queued"): 2,
    }  # fmt: skip
    assert set(found.longest_waiting) == {"large"}
    assert 3600 <= found.longest_waiting["large"] < 3600 + 600
    assert found.unsent == 3
    assert found.workers == {"small": 2}

    worker.finish(claim, claim.prompts[1].prompt_id)
    worker.finish(claim, claim.prompts[2].prompt_id)
    with store.begin() as session:
        jobs.request_cancel(session, second.job_id)
    assert counted(store).prompts == {}
    engine.dispose()


def test_events_that_webhooks_wait_for_are_counted(store_url: str) -> None:
    engine = make_engine(store_url)
    store = sessions(engine)
    for _ in range(2):
        post_job(
            store, "small", ["a"], webhook={"url": "https://example.com", "events": ["job.ended"]}
        )
    Worker(store).run_all()
    with store.begin() as session:
        first, second = session.scalars(select(DeliveryRow.id).order_by(DeliveryRow.id))
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.id == first)
            .values(created_at=now() - timedelta(hours=1))
        )
    found = counted(store)
    assert found.deliveries == 2
    assert 3600 <= found.oldest_delivery < 3600 + 600
    with store.begin() as session:
        one, other = deliveries.claim(session, limit=9, a_host=9, without=(), lease_seconds=60)
        assert (one.id, other.id) == (first, second)
        deliveries.delivered(session, one, 204)
        deliveries.failed(session, other, status=500, error="x", again_at=now())
    found = counted(store)
    assert found.deliveries == 1, "what is tried again still waits"
    assert found.oldest_delivery < 600
    with store.begin() as session:
        (other,) = deliveries.claim(session, limit=9, a_host=9, without=(), lease_seconds=60)
        deliveries.failed(session, other, status=410, error="x", again_at=None)
    assert counted(store).deliveries == 0
    engine.dispose()


def test_a_retry_after_a_week_and_a_wake_up_sent_again_change_no_wait(store_url: str) -> None:
    engine = make_engine(store_url)
    store = sessions(engine)
    job = post_job(store, "small", ["a"])
    with store.begin() as session:
        jobs.request_cancel(session, job.job_id)
    age(store, job.job_id, timedelta(days=7))
    with store.begin() as session:
        jobs.retry(session, job.job_id)
    assert counted(store).longest_waiting["small"] < 600
    age(store, job.job_id, timedelta(hours=1))
    with store.begin() as session:
        assert outbox.due(session, older_than_seconds=15) == job.group_ids
    assert counted(store).longest_waiting["small"] >= 3600
    engine.dispose()
