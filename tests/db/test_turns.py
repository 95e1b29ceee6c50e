"""Whose turn it is: what a worker gets that was woken, whatever its wake-up names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, text, update
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, keys, leases, outbox, results, turns
from db.lifecycle import lock
from db.models import JobRow, PromptRow
from db.session import now
from prelogit.core.records import Result
from prelogit.wire.keys import KeyRequest
from tests.db.conftest import Post, Take

Store = sessionmaker[Session]
EACH = {"name": "aisp", "batch_size": 1}


def claimed(store: Store, named: str = "", *, model: str = "tiny") -> leases.Claim | None:
    with store.begin() as session:
        return turns.claim(session, named, owner="w", model=model, ttl_seconds=60)


def order(store: Store, claims: int) -> list[str]:
    """The jobs that so many wake-ups of one name lead to."""
    taken = [claimed(store) for _ in range(claims)]
    return [claim.job_id for claim in taken if claim is not None]


def left_by_its_worker(store: Store, job_id: str) -> None:
    with store.begin() as session:
        session.execute(
            update(PromptRow)
            .where(PromptRow.job_id == job_id, PromptRow.status == "running")
            .values(lease_expires_at=now() - timedelta(seconds=1))
        )


def test_a_short_job_does_not_wait_for_a_long_one(store: Store, post: Post) -> None:
    long = post(40, method=EACH)
    assert order(store, 3) == [long.job_id] * 3
    short = post(3, method=EACH)
    # Every wake-up names the long job: its own are far behind on the queue.
    assert order(store, 6) == [long.job_id, short.job_id] * 3
    assert order(store, 2) == [long.job_id] * 2


def test_a_stream_of_short_jobs_does_not_keep_a_long_one_waiting(store: Store, post: Post) -> None:
    long = post(40, method=EACH)
    served = []
    for _ in range(6):
        post(1)
        served += order(store, 1)
    assert served.count(long.job_id) == 3


def test_what_is_given_back_goes_on_before_the_rest_of_its_job(store: Store, post: Post) -> None:
    post(8, method=EACH)
    first, second = claimed(store), claimed(store)
    assert first is not None
    assert second is not None
    with store.begin() as session:
        leases.release(session, first, ["p1"])
    third = claimed(store)
    assert third is not None
    assert third.group_id == first.group_id


def test_higher_priorities_come_first_and_what_runs_is_not_interrupted(
    store: Store, post: Post
) -> None:
    low = post(2, method=EACH, priority="low")
    running = claimed(store)
    normal = post(2, method=EACH)
    high = post(2, method=EACH, priority="high")
    expected = [high, high, normal, normal, low]
    assert order(store, 6) == [job.job_id for job in expected]
    assert running is not None
    with store.begin() as session:
        assert leases.renew(session, running, ttl_seconds=60) == {"p1"}


def test_a_worker_s_own_model_decides_whatever_the_wakeup_names(store: Store, post: Post) -> None:
    here, away = post(1), post(1, model="away")
    claim = claimed(store, here.group_ids[0], model="away")
    assert claim is not None
    assert claim.job_id == away.job_id
    assert claimed(store, here.group_ids[0], model="away") is None
    left_by_its_worker(store, away.job_id)  # first of all, but not for a worker of another model
    with store.begin() as session:
        assert outbox.due(session, older_than_seconds=0)
    assert order(store, 1) == [here.job_id]


def test_what_a_dead_worker_left_comes_before_all_that_was_not_begun(
    store: Store, post: Post
) -> None:
    job = post(1)
    (group,) = job.group_ids
    assert claimed(store) is not None
    other = post(1, priority="high")
    left_by_its_worker(store, job.job_id)
    named = claimed(store, group)
    assert named is not None
    assert named.group_id == group
    left_by_its_worker(store, job.job_id)
    with store.begin() as session:
        assert set(outbox.due(session, older_than_seconds=0)) == {group, *other.group_ids}
    found = claimed(store)  # the wake-up for it is lost
    assert found is not None
    assert (found.group_id, found.prompts[0].fence) == (group, 3)
    assert order(store, 2) == [other.job_id]


def test_a_group_that_lives_again_is_not_taken_for_left(
    store: Store, post: Post, outcome: Callable[..., Result]
) -> None:
    job = post(1)
    claim = claimed(store)
    assert claim is not None
    left_by_its_worker(store, job.job_id)
    with store.begin() as session:
        assert outbox.due(session, older_than_seconds=0) == job.group_ids
        assert leases.renew(session, claim, ttl_seconds=60) == {"p1"}
    assert claimed(store, job.group_ids[0]) is None
    with store.begin() as session:
        assert outbox.due(session, older_than_seconds=0) == []
        results.finish(session, claim, "p1", outcome("p1"))
        assert session.scalar(text("SELECT count(*) FROM groups WHERE left_at IS NOT NULL")) == 0


def test_a_key_without_room_holds_up_no_other_job(store: Store, post: Post, take: Take) -> None:
    with store.begin() as session:
        key = keys.create(session, KeyRequest(running_prompts=1)).id
    full = post(4, method=EACH, priority="high")
    with store.begin() as session:
        session.execute(update(JobRow).values(key_id=key))
    other = post(1, priority="low")
    left = take(full.group_ids[0])
    assert order(store, 2) == [other.job_id]
    left_by_its_worker(store, full.job_id)
    again = claimed(store, left.group_id)
    assert again is not None
    assert again.group_id == left.group_id
    assert order(store, 1) == []


def test_a_cancelled_job_has_no_turn_and_a_repeated_one_begins_at_the_end(
    store: Store, post: Post
) -> None:
    first, second = post(2, method=EACH), post(4, method=EACH)
    assert order(store, 1) == [first.job_id]
    with store.begin() as session:
        claim = leases.claim(session, second.group_ids[0], owner="w", model="tiny", ttl_seconds=60)
        assert claim is not None
        jobs.request_cancel(session, second.job_id)
        leases.release(session, claim, ["p1"])
    third = post(4, method=EACH)
    assert order(store, 1) == [first.job_id]
    with store.begin() as session:
        jobs.retry(session, second.job_id)
    assert order(store, 3) == [third.job_id, second.job_id, third.job_id]


def test_workers_that_claim_at_once_take_no_prompt_twice_and_serve_all_jobs_alike(
    store: Store, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TRIES", 10**6)  # who is overtaken that often is not served in turn
    workers, claims = 6, 4
    posted = [post(15, method=EACH).job_id for _ in range(3)]
    start = Barrier(workers)

    def work(_: int) -> list[tuple[str, str]]:
        start.wait()
        mine = [claimed(store) for _ in range(claims)]
        return [(c.job_id, p.prompt_id) for c in mine if c for p in c.prompts]

    with ThreadPoolExecutor(workers) as pool:
        taken = [prompt for mine in pool.map(work, range(workers)) for prompt in mine]
    assert len(taken) == len(set(taken)) == workers * claims
    assert Counter(job for job, _ in taken) == dict.fromkeys(posted, workers * claims // 3)


@pytest.fixture
def overtaken(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Lets others claim so many times, each time between the look and the lock of one claim.

    Returns: the jobs that all of them got, in the order in which they were served.
    """

    def overtaken(times: int) -> list[str]:
        served: list[str] = []

        def lock_too_late(session: Session, job_id: str) -> JobRow | None:
            if len(served) < times:
                with monkeypatch.context() as patch:
                    patch.setattr(turns, "lock", lock)
                    served.extend(order(store, 1))
            return lock(session, job_id)

        with monkeypatch.context() as patch:
            patch.setattr(turns, "lock", lock_too_late)
            last = order(store, 1)
        return served + last

    return overtaken


# On SQLite no claim comes between: each has the store's one lock from its beginning.
between = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)


@between
@pytest.mark.parametrize("times", [1, 2, turns.TRIES - 1])
def test_who_is_overtaken_gets_the_job_whose_turn_it_is_then(
    post: Post, overtaken: Callable[[int], list[str]], times: int
) -> None:
    posted = [post(15, method=EACH).job_id for _ in range(3)]
    assert overtaken(times) == [posted[place % 3] for place in range(times + 1)]


@between
def test_who_is_overtaken_for_ever_is_served_all_the_same(
    post: Post, overtaken: Callable[[int], list[str]]
) -> None:
    posted = [post(15, method=EACH).job_id for _ in range(3)]
    *others, last = overtaken(turns.TRIES)
    assert others == [posted[place % 3] for place in range(turns.TRIES)]
    assert last == others[-1]  # out of turn: it was the last try


def test_nobody_is_woken_in_vain_for_ever(store: Store, post: Post) -> None:
    """The last group is claimed by one of several workers, and the others' wake-ups end."""
    post(1)
    with store.begin() as session:
        outbox.sent(session, [row.id for row in outbox.pending(session, 9)])
    workers = 4
    start = Barrier(workers)

    def work(_: int) -> bool:
        start.wait()
        return claimed(store) is not None

    with ThreadPoolExecutor(workers) as pool:
        assert sum(pool.map(work, range(workers))) == 1
    with store.begin() as session:
        outbox.sent(session, [row.id for row in outbox.pending(session, 9)])
    assert claimed(store) is None
    with store.begin() as session:
        assert outbox.pending(session, 9) == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_turn_is_found_without_reading_all_that_waits(engine: Engine, post: Post) -> None:
    post(3)
    query = turns.turn_query("tiny").compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        rows = connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all()
    plan = "\n".join(row.detail for row in rows)
    assert "ix_jobs_turn" in plan
    assert "ix_prompts_status" in plan
    assert "ORDER BY" not in plan, plan
    assert "SCAN" not in plan.replace("SCAN api_keys", ""), plan
