"""Promises of the leases: nobody works twice, nobody writes late, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from db import events, jobs, leases, outbox, results, trace
from db.models import PromptRow
from db.session import now, reading
from prelogit.core.errors import LeaseLostError
from prelogit.core.records import Candidate, Iteration, Result

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]
Round = Callable[..., Iteration]
Drawn = Callable[..., Candidate]
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


def test_claims_at_once_never_take_a_prompt_twice(store: Store, post: Post) -> None:
    created = post(24, method={"name": "aisp", "batch_size": 3})
    threads = 8
    start = Barrier(threads)

    def racing(worker: int) -> list[str]:
        start.wait()
        mine: list[str] = []
        for group in created.group_ids:
            claim = claimed(store, group, owner=f"w{worker}")
            mine += [p.prompt_id for p in claim.prompts] if claim else []
        return mine

    with ThreadPoolExecutor(threads) as pool:
        taken = [prompt for prompts in pool.map(racing, range(threads)) for prompt in prompts]
    assert sorted(taken) == sorted(statuses(store, created.job_id))
    with reading(store) as session:
        assert set(session.scalars(select(PromptRow.fence))) == {1}
        assert [e.kind for e in events.after(session, created.job_id, 0, 99)] == ["job"]


def test_an_expired_lease_is_taken_once_among_many(store: Store, post: Post) -> None:
    group = post(2).group_ids[0]
    threads = 8
    start = Barrier(threads)
    assert claimed(store, group) is not None
    expire(store)

    def racing(worker: int) -> leases.Claim | None:
        start.wait()
        return claimed(store, group, owner=f"w{worker}")

    with ThreadPoolExecutor(threads) as pool:
        claims = [claim for claim in pool.map(racing, range(threads)) if claim is not None]
    assert len(claims) == 1
    assert [p.fence for p in claims[0].prompts] == [2, 2]


def test_nothing_is_to_be_had_of_a_group_that_is_unknown_leased_or_ended(
    store: Store, post: Post, outcome: Outcome
) -> None:
    created = post(1)
    assert claimed(store, "grp_unknown") is None
    claim = claimed(store, created.group_ids[0])
    assert claim is not None
    assert claimed(store, created.group_ids[0]) is None
    with store.begin() as session:
        results.finish(session, claim, "p1", outcome("p1"))
    assert claimed(store, created.group_ids[0]) is None


def test_a_worker_with_another_model_has_nothing_to_claim(store: Store, post: Post) -> None:
    created = post(2, model="big")
    assert claimed(store, created.group_ids[0], model="small") is None
    assert set(statuses(store, created.job_id).values()) == {"queued"}
    assert job_status(store, created.job_id) == "queued"
    assert claimed(store, created.group_ids[0], model="big") is not None
    expire(store)
    assert claimed(store, created.group_ids[0], model="small") is None
    with reading(store) as session:
        assert set(session.scalars(select(PromptRow.attempt))) == {1}


def test_a_late_writer_writes_nothing(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn, outcome: Outcome
) -> None:
    created = post(1)
    late = take(created.group_ids[0], owner="same name")
    with store.begin() as session:
        trace.append(session, late, "p1", 0, round_(1), [drawn(1, 0, 0.5)])
    expire(store)
    new = take(created.group_ids[0], owner="same name")
    writes: list[Callable[[Session], object]] = [
        lambda s: leases.hold(s, late, "p1"),
        lambda s: trace.append(s, late, "p1", 0, round_(2), []),
        lambda s: trace.describe(s, late, "p1", window=1, dim=1),
        lambda s: results.finish(s, late, "p1", outcome("p1", reward=9.0)),
        lambda s: results.fail(s, late, "p1", "too late"),
    ]
    for write in writes:
        with store() as session, pytest.raises(LeaseLostError, match="lost"):
            write(session)
    with store.begin() as session:
        assert leases.renew(session, late, ttl_seconds=60) == frozenset()
        leases.release(session, late, ["p1"])
    assert statuses(store, created.job_id) == {"p1": "running"}
    with store.begin() as session:
        assert leases.renew(session, new, ttl_seconds=60) == {"p1"}
        assert trace.rows(session, created.job_id, "p1", 0) == [round_(1)]
        trace.append(session, new, "p1", 0, round_(2), [])
        results.finish(session, new, "p1", outcome("p1", reward=0.5))
    with store() as session, pytest.raises(LeaseLostError):
        results.finish(session, new, "p1", outcome("p1", reward=9.0))
    with reading(store) as session:
        result = results.read(session, created.job_id, "p1")
    assert result is not None
    assert result.reward == 0.5


def test_an_expired_lease_that_nobody_took_still_writes(
    store: Store, post: Post, take: Take, round_: Round
) -> None:
    claim = take(post(1).group_ids[0])
    expire(store)
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1), [])
        assert leases.renew(session, claim, ttl_seconds=60) == {"p1"}
    assert claimed(store, claim.group_id) is None


def test_renewing_tells_which_prompts_are_lost(
    store: Store, post: Post, take: Take, outcome: Outcome
) -> None:
    claim = take(post(3).group_ids[0])
    with store.begin() as session:
        results.finish(session, claim, "p2", outcome("p2"))
        assert leases.renew(session, claim, ttl_seconds=60) == {"p1", "p3"}


def test_a_deleted_or_foreign_prompt_is_not_held(store: Store, post: Post, take: Take) -> None:
    claim, other = take(post(1).group_ids[0]), post(2)
    with store() as session, pytest.raises(LeaseLostError):
        leases.hold(session, claim, "p2")
    with store.begin() as session:
        jobs.request_cancel(session, other.job_id)
        assert jobs.delete(session, other.job_id) is True
    gone = leases.Claim(other.job_id, other.group_ids[0], "w", claim.request, claim.prompts)
    with store() as session, pytest.raises(LeaseLostError):
        leases.hold(session, gone, "p1")


def test_released_prompts_are_free_and_woken(
    store: Store, post: Post, take: Take, outcome: Outcome
) -> None:
    created = post(3)
    claim = take(created.group_ids[0])
    with store.begin() as session:
        outbox.sent(session, [row.id for row in outbox.pending(session, 9)])
        results.finish(session, claim, "p3", outcome("p3"))
        leases.release(session, claim, ["p1", "p3"])
    assert statuses(store, created.job_id) == {"p1": "queued", "p2": "running", "p3": "succeeded"}
    with reading(store) as session:
        assert [row.group_id for row in outbox.pending(session, 9)] == created.group_ids
    again = take(created.group_ids[0], owner="other")
    assert [(p.prompt_id, p.attempt) for p in again.prompts] == [("p1", 1)]


def test_releasing_in_a_cancelled_job_ends_with_the_best_so_far(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn
) -> None:
    created = post(1)
    claim = take(created.group_ids[0])
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1), [drawn(1, 0, 0.5, "so far")])
    with store.begin() as session:
        assert jobs.request_cancel(session, created.job_id) is True
        leases.release(session, claim, ["p1"])
    assert job_status(store, created.job_id) == "cancelled"
    with reading(store) as session:
        result = results.read(session, created.job_id, "p1")
    assert result is not None
    assert (result.status, result.response) == ("cancelled", "so far")


def test_what_died_while_being_cancelled_is_reaped(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn
) -> None:
    created = post(2)
    claim = take(created.group_ids[0])
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1), [drawn(1, 0, 0.5, "so far")])
        jobs.request_cancel(session, created.job_id)
        leases.reap(session)
    assert job_status(store, created.job_id) == "cancelling"
    expire(store)
    with store.begin() as session:
        leases.reap(session)
    assert job_status(store, created.job_id) == "cancelled"
    with reading(store) as session:
        ended = results.stream(session, created.job_id, limit=9)
    assert [(r.prompt_id, r.status, r.response) for r in ended] == [
        ("p1", "cancelled", "so far"), ("p2", "cancelled", None),
    ]  # fmt: skip
    with store() as session, pytest.raises(LeaseLostError):
        leases.hold(session, claim, "p1")
