"""Cancel stops what waits, keeps what is there, and leaves nobody behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases, outbox, results, trace
from db.session import reading
from prelogit.core.records import Candidate, Iteration, Result
from prelogit.wire.jobs import Job

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]
Round = Callable[..., Iteration]
Drawn = Callable[..., Candidate]
Outcome = Callable[..., Result]


def shown(store: Store, job_id: str) -> Job:
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    return job


def cancel(store: Store, job_id: str) -> bool | None:
    with store.begin() as session:
        return jobs.request_cancel(session, job_id)


def test_a_queued_job_is_cancelled_at_once(store: Store, post: Post, take: Take) -> None:
    created = post(2)
    assert cancel(store, created.job_id) is True
    assert cancel(store, created.job_id) is False
    job = shown(store, created.job_id)
    assert (job.status, job.counts.cancelled, job.started_at) == ("cancelled", 2, None)
    with store.begin() as session:
        assert jobs.cancel_requested(session, created.job_id)
        group = created.group_ids[0]
        assert leases.claim(session, group, owner="w", model="tiny", ttl_seconds=9) is None
        assert outbox.due(session, older_than_seconds=0) == []


def test_cancelling_keeps_what_is_finished_and_the_best_so_far(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn, outcome: Outcome
) -> None:
    created = post(3, method={"name": "aisp", "batch_size": 2})
    claim = take(created.group_ids[0])
    with store.begin() as session:
        assert not jobs.cancel_requested(session, created.job_id)
        results.finish(session, claim, "p1", outcome("p1"))
        trace.append(session, claim, "p2", 0, round_(1), [drawn(1, 0, 0.5)])
    assert cancel(store, created.job_id) is True
    assert cancel(store, created.job_id) is False
    job = shown(store, created.job_id)
    assert (job.status, job.counts.running, job.counts.cancelled) == ("cancelling", 1, 1)
    with store.begin() as session:
        assert jobs.cancel_requested(session, created.job_id)
        trace.append(session, claim, "p2", 0, round_(2), [drawn(2, 0, 0.75)])
        results.finish(session, claim, "p2", outcome("p2", "cancelled", 0.75))
    assert cancel(store, created.job_id) is False
    with reading(store) as session:
        page, _ = results.page(session, created.job_id, limit=9, cursor=None)
    assert [(r.status, r.reward) for r in page] == [
        ("succeeded", 0.5), ("cancelled", 0.75), ("cancelled", None),
    ]  # fmt: skip
    job = shown(store, created.job_id)
    assert (job.status, job.reward.mean_best) == ("cancelled", 0.5)
    assert job.started_at is not None
    assert job.ended_at is not None
    assert job.started_at <= job.ended_at


def test_claims_and_cancels_at_once_never_leave_a_prompt_behind(store: Store, post: Post) -> None:
    """Whatever wins, each prompt is either cancelled or held by somebody who will hear of it."""
    created = [post(4, method={"name": "aisp", "batch_size": 1}) for _ in range(6)]
    start = Barrier(4)

    def claiming(worker: int) -> list[leases.Claim]:
        start.wait()
        mine = []
        for job in created:
            for group in job.group_ids:
                with store.begin() as session:
                    claim = leases.claim(
                        session, group, owner=f"w{worker}", model="tiny", ttl_seconds=60
                    )
                mine += [claim] if claim else []
        return mine

    def cancelling(_: int) -> list[leases.Claim]:
        start.wait()
        for job in created:
            cancel(store, job.job_id)
        return []

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(claiming, 0), pool.submit(claiming, 1)]
        work += [pool.submit(cancelling, 0), pool.submit(cancelling, 1)]
        claims = [claim for done in work for claim in done.result()]
    with store.begin() as session:
        for claim in claims:
            leases.release(session, claim, [p.prompt_id for p in claim.prompts])
    for job in created:
        after = shown(store, job.job_id)
        assert (after.status, after.counts.cancelled) == ("cancelled", 4)
