"""A prompt that kills its workers is found and failed; the others of its group live."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases, outbox, results, trace
from db.models import PromptRow
from db.session import now, reading
from prelogit.core.records import Iteration, Result

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]
Round = Callable[..., Iteration]
Outcome = Callable[..., Result]


def claimed(store: Store, group_id: str, owner: str = "w", **options: Any) -> leases.Claim | None:
    with store.begin() as session:
        known = {"owner": owner, "model": "tiny", "ttl_seconds": 60}
        return leases.claim(session, group_id, **{**known, **options})


def expire(store: Store) -> None:
    """What time does to the leases of a worker that died."""
    with store.begin() as session:
        session.execute(
            update(PromptRow)
            .where(PromptRow.status == "running")
            .values(lease_expires_at=now() - timedelta(seconds=1))
        )


def statuses(store: Store, job_id: str) -> dict[str, str]:
    with reading(store) as session:
        query = select(PromptRow.prompt_id, PromptRow.status).where(PromptRow.job_id == job_id)
        return {row.prompt_id: row.status for row in session.execute(query)}


def job_status(store: Store, job_id: str) -> str | None:
    with reading(store) as session:
        return jobs.status(session, job_id)


def test_a_worker_that_stops_on_purpose_never_poisons_its_prompts(
    store: Store, post: Post, take: Take
) -> None:
    created = post(1)
    for _ in range(leases.MAX_ATTEMPTS + 2):
        claim = take(created.group_ids[0])
        with store.begin() as session:
            leases.release(session, claim, ["p1"])


def test_a_prompt_that_kills_its_workers_fails_with_the_reason(store: Store, post: Post) -> None:
    created = post(1)
    for attempt in range(1, 4):
        claim = claimed(store, created.group_ids[0], max_attempts=3)
        assert claim is not None
        assert claim.prompts[0].attempt == attempt
        expire(store)
    assert claimed(store, created.group_ids[0], max_attempts=3) is None
    assert job_status(store, created.job_id) == "failed"
    with reading(store) as session:
        result = results.read(session, created.job_id, "p1")
        job = jobs.view(session, created.job_id)
    assert result is not None
    assert (result.status, result.response) == ("failed", None)
    assert "3 times" in str(result.error)
    assert job is not None
    assert job.error is not None
    assert (job.error.errors[0].field, "3 times" in job.error.errors[0].message) == (
        "prompts.p1", True,
    )  # fmt: skip


def test_progress_forgives_what_went_wrong_before(store: Store, post: Post, round_: Round) -> None:
    created = post(1)
    for k in range(1, 9):
        claim = claimed(store, created.group_ids[0], max_attempts=2)
        assert claim is not None
        with store.begin() as session:
            trace.append(session, claim, "p1", 0, round_(k), [])
        expire(store)


def test_one_prompt_that_kills_workers_does_not_take_its_group_along(
    store: Store, post: Post, outcome: Outcome
) -> None:
    created = post(4)
    group = created.group_ids[0]
    for _ in range(50):  # each turn: a wake-up; the worker dies if the bad prompt is with it
        with store.begin() as session:
            outbox.sent(session, [row.id for row in outbox.pending(session, 99)])
        claim = claimed(store, group)
        if claim is not None:
            ids = [p.prompt_id for p in claim.prompts]
            if "p2" not in ids:
                with store.begin() as session:
                    for prompt_id in ids:
                        results.finish(session, claim, prompt_id, outcome(prompt_id))
        with reading(store) as session:
            woken = outbox.pending(session, 99)
        if job_status(store, created.job_id) == "partial":
            break
        # either another wake-up is on its way, or the lease must first run out
        if not woken:
            expire(store)
    assert statuses(store, created.job_id) == {
        "p1": "succeeded", "p2": "failed", "p3": "succeeded", "p4": "succeeded",
    }  # fmt: skip


def test_a_claim_that_leaves_prompts_behind_wakes_somebody_for_them(
    store: Store, post: Post, take: Take
) -> None:
    created = post(2)
    for _ in range(leases.SUSPECT_ATTEMPTS):
        assert len(take(created.group_ids[0]).prompts) == 2
        expire(store)
    with store.begin() as session:
        outbox.sent(session, [row.id for row in outbox.pending(session, 99)])
    claim = take(created.group_ids[0])
    assert [p.prompt_id for p in claim.prompts] == ["p1"]
    with reading(store) as session:
        assert [row.group_id for row in outbox.pending(session, 99)] == created.group_ids
    claim = take(created.group_ids[0], owner="another")
    assert [p.prompt_id for p in claim.prompts] == ["p2"]
