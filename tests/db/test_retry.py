"""Retry runs what failed or was cancelled, and deleting leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases, outbox, results, trace
from db.models import Base
from db.session import reading
from prelogit.core.errors import InputError, LeaseLostError
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


def retried(store: Store, job_id: str) -> list[str] | None:
    with store.begin() as session:
        return jobs.retry(session, job_id)


def test_retry_runs_what_failed_afresh_and_what_was_cancelled_on(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn, outcome: Outcome
) -> None:
    created = post(4, method={"name": "aisp", "batch_size": 2})
    first, second = (take(group) for group in created.group_ids)
    with store.begin() as session:
        results.finish(session, first, "p1", outcome("p1"))
        trace.describe(session, first, "p2", window=8, dim=9)
        trace.append(session, first, "p2", 0, round_(1), [drawn(1, 0, 0.1)])
        results.fail(session, first, "p2", "it broke")
        trace.describe(session, second, "p3", window=8, dim=9)
        trace.append(session, second, "p3", 0, round_(1), [drawn(1, 0, 0.3, "so far")])
        outbox.sent(session, [row.id for row in outbox.pending(session, 9)])
    with pytest.raises(InputError, match="still running"):
        retried(store, created.job_id)
    cancel(store, created.job_id)
    with store.begin() as session:
        results.finish(session, second, "p3", outcome("p3", "cancelled", 0.3, response="so far"))
        leases.release(session, second, ["p4"])
    before = shown(store, created.job_id)
    assert before.status == "cancelled"

    assert sorted(retried(store, created.job_id) or []) == sorted(created.group_ids)
    job = shown(store, created.job_id)
    assert (job.status, job.ended_at, job.error) == ("queued", None, None)
    assert (job.counts.succeeded, job.counts.queued) == (1, 3)
    assert job.usage == before.usage  # what was spent stays spent
    assert job.progress.iterations_done == 9 + 1
    with reading(store) as session:
        assert sorted(row.group_id for row in outbox.pending(session, 9)) == sorted(
            created.group_ids
        )
        page, _ = results.page(session, created.job_id, limit=9, cursor=None)
        assert [(r.status, r.response, r.error) for r in page] == [
            ("succeeded", "answer", None),
            ("queued", None, None),
            ("queued", "so far", None),
            ("queued", None, None),
        ]
        assert trace.rows(session, created.job_id, "p2", 0) == []
        assert trace.kept(session, created.job_id, "p2", 0) == []
        assert trace.rows(session, created.job_id, "p3", 0) == [round_(1)]
        described = [trace.trace(session, created.job_id, p) for p in ("p2", "p3")]
        assert [t and t.window for t in described] == [None, 8]

    with store() as session, pytest.raises(LeaseLostError):
        leases.hold(session, second, "p3")
    again: dict[str, leases.Claim] = {}
    for group in created.group_ids:
        claim = take(group, owner="another")
        again |= {prompt.prompt_id: claim for prompt in claim.prompts}
    assert sorted(again) == ["p2", "p3", "p4"]
    assert {p.attempt for claim in again.values() for p in claim.prompts} == {1}
    with store.begin() as session:
        trace.append(session, again["p3"], "p3", 0, round_(2), [drawn(2, 0, 0.9)])
        for prompt_id, claim in again.items():
            results.finish(session, claim, prompt_id, outcome(prompt_id))
    assert shown(store, created.job_id).status == "succeeded"
    assert retried(store, created.job_id) == []
    assert shown(store, created.job_id).status == "succeeded"


def test_a_retried_job_can_be_cancelled_and_retried_again(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn
) -> None:
    created = post(1)
    claim = take(created.group_ids[0])
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1), [drawn(1, 0, 0.3, "so far")])
        leases.release(session, claim, ["p1"])
    for _ in range(3):
        assert cancel(store, created.job_id) is True
        with reading(store) as session:
            result = results.read(session, created.job_id, "p1")
        assert result is not None
        assert (result.status, result.response) == ("cancelled", "so far")
        assert retried(store, created.job_id) == created.group_ids


def test_retries_at_once_queue_each_prompt_once(store: Store, post: Post) -> None:
    created = post(2)
    cancel(store, created.job_id)
    with store.begin() as session:
        outbox.sent(session, [row.id for row in outbox.pending(session, 9)])
    start = Barrier(4)

    def racing(_: int) -> bool:
        start.wait()
        try:
            return bool(retried(store, created.job_id))
        except InputError:  # another retry was first, the job is queued
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(racing, range(4))) == 1
    with reading(store) as session:
        assert len(outbox.pending(session, 9)) == 1


def test_deleting_removes_every_row_of_the_job_and_no_other(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn, outcome: Outcome
) -> None:
    def tables() -> dict[str, int]:
        with reading(store) as session:
            return {
                table.name: session.scalar(select(func.count()).select_from(table)) or 0
                for table in Base.metadata.sorted_tables
            }

    def worked(key: str) -> leases.Claim:
        created = post(2, baselines=[{"name": "bon"}], key=key)
        claim = take(created.group_ids[0])
        with store.begin() as session:
            trace.append(session, claim, "p1", 0, round_(1), [drawn(1, 0, 0.5)])
            trace.append(session, claim, "p1", 1, round_(1), [drawn(1, 0, 0.5)])
            results.finish(session, claim, "p1", outcome("p1", margins=(0.1,)))
        return claim

    worked("other")
    before = tables()
    claim = worked("key")
    with store.begin() as session:
        assert jobs.delete(session, claim.job_id) is False
        jobs.request_cancel(session, claim.job_id)
        assert jobs.delete(session, claim.job_id) is False  # one prompt still runs
        results.fail(session, claim, "p2", "it broke")
        assert jobs.delete(session, claim.job_id) is True
        assert jobs.delete(session, claim.job_id) is None
    assert tables() == before
    assert before["baseline_results"] == 1
    assert post(1, key="key").existing is False
