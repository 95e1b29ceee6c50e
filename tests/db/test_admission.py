"""The limits of a key: how many of its prompts run at the same time, whoever claims them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from db import admission, jobs, keys, leases, outbox, results, turns
from db.models import JobRow, PromptRow
from db.session import now, reading
from prelogit.core.records import Result
from prelogit.wire.jobs import JobRequest
from prelogit.wire.keys import KeyRequest
from tests.db.posting import prompts_of

Store = sessionmaker[Session]
Outcome = Callable[..., Result]


def limited(store: Store, running: int | None = None) -> str:
    with store.begin() as session:
        return keys.create(session, KeyRequest(running_prompts=running)).id


def posted(
    store: Store, key_id: str, prompts: int, *, together: int = 1, model: str = "tiny"
) -> jobs.Created:
    """A job of that many prompts, in groups of ``together``."""
    fields = {"prompts": ["q"] * prompts, "method": {"name": "aisp", "batch_size": together}}
    request = JobRequest.model_validate(fields).filled(model=model)
    with store.begin() as session:
        return jobs.create(
            session,
            request,
            prompts_of(request),
            idempotency_key=None,
            body_hash="h",
            key_id=key_id,
        )


def claimed(store: Store, group_id: str, **options: Any) -> leases.Claim | None:
    known = {"owner": "w", "model": "tiny", "ttl_seconds": 60}
    with store.begin() as session:
        return turns.claim(session, group_id, **{**known, **options})


def woken(store: Store) -> list[str]:
    """The wake-ups that wait, taken from the outbox."""
    with store.begin() as session:
        rows = outbox.pending(session, 1000)
        outbox.sent(session, [row.id for row in rows])
    return [row.group_id for row in rows]


def running(store: Store) -> int:
    with reading(store) as session:
        query = select(func.count()).select_from(PromptRow).where(PromptRow.status == "running")
        return session.scalar(query) or 0


def work(store: Store, outcome: Outcome, limit: int) -> list[str]:
    """Follows wake-ups, one prompt at a time, until there are none; the jobs in their turns."""
    turns: list[str] = []
    at_hand = woken(store)
    while at_hand:
        claim = claimed(store, at_hand.pop(0))
        assert running(store) <= limit
        for prompt in claim.prompts if claim else ():
            assert claim is not None
            turns.append(claim.job_id)
            with store.begin() as session:
                results.finish(session, claim, prompt.prompt_id, outcome(prompt.prompt_id))
        at_hand.extend(woken(store))
    return turns


def test_no_more_prompts_run_than_the_key_may(store: Store, outcome: Outcome) -> None:
    key = limited(store, 3)
    first, second = posted(store, key, 4, together=4), posted(store, key, 2, together=2)
    one = claimed(store, first.group_ids[0])
    assert one is not None
    assert len(one.prompts) == 3
    assert claimed(store, second.group_ids[0]) is None
    assert claimed(store, first.group_ids[0]) is None
    woken(store)
    with store.begin() as session:
        results.finish(session, one, one.prompts[0].prompt_id, outcome(one.prompts[0].prompt_id))
    (group,) = woken(store)  # and only now something is worth a look
    assert group == second.group_ids[0]  # none of that job was begun yet
    two = claimed(store, group)
    assert two is not None
    assert len(two.prompts) == 1


def test_everything_of_a_limited_key_is_run_and_its_jobs_take_turns(
    store: Store, outcome: Outcome
) -> None:
    key = limited(store, 1)
    long, short = posted(store, key, 12), posted(store, key, 2)
    turns = work(store, outcome, 1)
    assert len(turns) == 14
    assert turns.count(short.job_id) == 2
    assert turns[:4].count(short.job_id) == 2, "the short one waits for the long one"
    with reading(store) as session:
        assert jobs.status(session, long.job_id) == jobs.status(session, short.job_id)
        assert jobs.status(session, long.job_id) == "succeeded"


def test_a_job_of_another_model_holds_up_no_job_of_this_one(store: Store) -> None:
    key = limited(store, 1)
    away, here = posted(store, key, 1, model="away"), posted(store, key, 2)
    claim = claimed(store, away.group_ids[0])
    assert claim is not None
    assert claim.job_id == here.job_id
    woken(store)
    with store.begin() as session:
        results.fail(session, claim, "p1", "no reward")
    assert woken(store) == [away.group_ids[0], here.group_ids[1]]  # the place is for either


def test_other_keys_are_not_held_up(store: Store) -> None:
    tight, loose = limited(store, 1), limited(store)
    mine, theirs = posted(store, tight, 2), posted(store, loose, 9, together=9)
    assert claimed(store, mine.group_ids[0]) is not None
    claim = claimed(store, mine.group_ids[1])
    assert claim is not None
    assert claim.job_id == theirs.job_id
    assert len(claim.prompts) == 9


def test_claims_at_once_do_not_exceed_the_limit(store: Store) -> None:
    key = limited(store, 5)
    groups = [group for _ in range(8) for group in posted(store, key, 3, together=3).group_ids]
    with store.begin() as session:  # all were begun by workers that died: none waits for its turn
        moment = now() - timedelta(seconds=1)
        session.execute(update(PromptRow).values(status="running", lease_expires_at=moment))
    start = Barrier(len(groups))

    def racing(group: str) -> int:
        start.wait()
        claim = claimed(store, group, owner=group)
        return 0 if claim is None else len(claim.prompts)

    with ThreadPoolExecutor(len(groups)) as pool:
        taken = list(pool.map(racing, groups))
    assert sum(taken) == 5
    with reading(store) as session:
        held = select(func.count()).select_from(PromptRow).where(PromptRow.lease_expires_at > now())
        assert session.scalar(held) == 5


def test_jobs_that_are_claimed_at_once_fill_what_there_is_room_for(store: Store) -> None:
    key = limited(store, 5)
    for _ in range(4):
        posted(store, key, 3, together=3)
    while at_hand := woken(store):
        with ThreadPoolExecutor(len(at_hand)) as pool:
            list(pool.map(lambda group: claimed(store, group, owner=group), at_hand))
        assert running(store) <= 5
    assert running(store) == 5


def test_a_dead_worker_s_prompts_do_not_count(store: Store) -> None:
    key = limited(store, 2)
    dead, other = posted(store, key, 2, together=2), posted(store, key, 2, together=2)
    assert claimed(store, dead.group_ids[0]) is not None
    assert claimed(store, other.group_ids[0]) is None
    with store.begin() as session:
        session.execute(
            update(PromptRow)
            .where(PromptRow.status == "running")
            .values(lease_expires_at=now() - timedelta(seconds=1))
        )
    again = claimed(store, dead.group_ids[0])
    assert again is not None
    assert len(again.prompts) == 2


def test_a_prompt_that_is_given_back_or_cancelled_makes_room(store: Store) -> None:
    key = limited(store, 1)
    first, second = posted(store, key, 1), posted(store, key, 1)
    claim = claimed(store, first.group_ids[0])
    assert claim is not None
    with store.begin() as session:
        leases.release(session, claim, ["p1"])
    claim = claimed(store, first.group_ids[0])
    assert claim is not None
    woken(store)
    with store.begin() as session:
        assert jobs.request_cancel(session, first.job_id)
        leases.release(session, claim, ["p1"])
    assert woken(store) == second.group_ids
    assert claimed(store, second.group_ids[0]) is not None


def test_prompts_that_killed_their_worker_do_not_turn_in_a_circle(store: Store) -> None:
    """Suspects are claimed one by one; without room, none of them is woken again at once."""
    key = limited(store, 1)
    job = posted(store, key, 3, together=3)
    with store.begin() as session:
        session.execute(
            update(PromptRow)
            .where(PromptRow.prompt_id != "p1")
            .values(attempt=leases.SUSPECT_ATTEMPTS)
        )
    woken(store)
    claim = claimed(store, job.group_ids[0])
    assert claim is not None
    assert [prompt.prompt_id for prompt in claim.prompts] == ["p1"]
    assert claimed(store, job.group_ids[0]) is None
    assert woken(store) == []


@pytest.mark.parametrize("limit", [None, 2])
def test_a_job_of_no_key_has_no_limit(store: Store, limit: int | None) -> None:
    limited(store, limit)
    job = posted(store, "0" * 12, 5, together=5)
    with store.begin() as session:
        session.execute(update(JobRow).values(key_id=None))
    claim = claimed(store, job.group_ids[0])
    assert claim is not None
    assert len(claim.prompts) == 5


def test_what_waits_or_runs_is_counted(store: Store, outcome: Outcome) -> None:
    key, other = limited(store), limited(store)
    job = posted(store, key, 3)
    posted(store, other, 5)
    claim = claimed(store, job.group_ids[0])
    assert claim is not None
    prompt = claim.prompts[0].prompt_id
    with store.begin() as session:
        assert admission.unfinished(session, key) == 3
        results.finish(session, claim, prompt, outcome(prompt))
        assert admission.unfinished(session, key) == 2
        assert jobs.request_cancel(session, job.job_id)
        assert admission.unfinished(session, key) == 0
