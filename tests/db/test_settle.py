"""The one rule by which a job's state follows from its prompts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Barrier

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import events, jobs, leases, results
from db.lifecycle import verdict
from db.session import reading
from prelogit.core.errors import StoreError
from prelogit.core.records import Result
from prelogit.wire.jobs import Job

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]
Outcome = Callable[..., Result]


def shown(store: Store, job_id: str) -> Job:
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    return job


def told(store: Store, job_id: str) -> list[str]:
    with reading(store) as session:
        found = events.after(session, job_id, 0, 1000)
    return [event.data["status"] for event in found if event.kind == "job"]


def cancel(store: Store, job_id: str) -> bool | None:
    with store.begin() as session:
        return jobs.request_cancel(session, job_id)


@pytest.mark.parametrize("endings", list(product(["succeeded", "failed", "cancelled"], repeat=2)))
@pytest.mark.parametrize("cancelling", [False, True])
def test_a_job_that_ended_says_what_became_of_it(
    store: Store,
    post: Post,
    take: Take,
    outcome: Outcome,
    endings: tuple[str, str],
    cancelling: bool,
) -> None:
    created = post(2)
    claim = take(created.group_ids[0])
    if cancelling:
        cancel(store, created.job_id)
    for prompt_id, status in zip(("p1", "p2"), endings, strict=True):
        assert shown(store, created.job_id).ended_at is None
        with store.begin() as session:
            reward = 0.5 if status == "succeeded" else None
            error = "it broke" if status == "failed" else None
            results.finish(
                session, claim, prompt_id, outcome(prompt_id, status, reward, error=error)
            )
    job = shown(store, created.job_id)
    expected = (
        "cancelled"
        if cancelling and endings != ("succeeded", "succeeded")
        else {
            ("succeeded", "succeeded"): "succeeded",
            ("failed", "failed"): "failed",
            ("failed", "cancelled"): "failed",
            ("cancelled", "failed"): "failed",
            ("cancelled", "cancelled"): "cancelled",
        }.get(endings, "partial")
    )
    assert job.status == expected
    assert told(store, created.job_id) == ["running"] + ["cancelling"] * cancelling + [expected]
    assert job.ended_at is not None
    assert job.progress.fraction == 1.0
    assert job.progress.eta_seconds == 0.0
    failed = endings.count("failed")
    assert job.counts.failed == failed
    if failed:
        assert job.error is not None
        assert f"{failed} of 2 prompts failed" in job.error.detail
        assert {problem.message for problem in job.error.errors} == {"it broke"}
    else:
        assert job.error is None
    with store.begin() as session:  # settling again changes nothing
        assert jobs.settle(session, created.job_id) == expected
    assert told(store, created.job_id)[-2:] != [expected] * 2


@pytest.mark.parametrize("cancelling", [False, True])
def test_succeeded_is_said_when_every_prompt_has_and_only_then(cancelling: bool) -> None:
    for succeeded, failed, cancelled in product(range(3), repeat=3):
        counts = {"succeeded": succeeded, "failed": failed, "cancelled": cancelled}
        said = verdict(counts, cancelling=cancelling) == "succeeded"
        assert said == (succeeded > 0 and failed == cancelled == 0)


def test_an_open_job_is_never_settled_as_ended(
    store: Store, post: Post, take: Take, outcome: Outcome
) -> None:
    created = post(3, method={"name": "aisp", "batch_size": 2})
    with store.begin() as session:
        assert jobs.settle(session, created.job_id) == "queued"
        with pytest.raises(StoreError):
            jobs.settle(session, "job_unknown")
    claim = take(created.group_ids[0])
    with store.begin() as session:
        for prompt in claim.prompts:
            results.finish(session, claim, prompt.prompt_id, outcome(prompt.prompt_id))
        assert jobs.settle(session, created.job_id) == "running"


def test_the_last_prompts_of_two_workers_settle_the_job_once(
    store: Store, post: Post, take: Take, outcome: Outcome
) -> None:
    created = post(8, method={"name": "aisp", "batch_size": 1})
    claims = [take(group) for group in created.group_ids]
    start = Barrier(len(claims))

    def racing(claim: leases.Claim) -> None:
        start.wait()
        with store.begin() as session:
            prompt_id = claim.prompts[0].prompt_id
            results.finish(session, claim, prompt_id, outcome(prompt_id))

    with ThreadPoolExecutor(len(claims)) as pool:
        list(pool.map(racing, claims))
    assert shown(store, created.job_id).status == "succeeded"
    assert told(store, created.job_id) == ["running", "succeeded"]
