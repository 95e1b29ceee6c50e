"""Wake-ups: each accepted group is named to the workers until somebody has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases, outbox, results
from db.models import PromptRow
from db.session import now, reading
from prelogit.core.records import Result

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]
Outcome = Callable[..., Result]


def due(store: Store, older_than_seconds: float = 0, limit: int = 64) -> list[str]:
    with store.begin() as session:
        return outbox.due(session, older_than_seconds=older_than_seconds, limit=limit)


def test_wake_ups_wait_in_order_until_they_are_sent(store: Store, post: Post) -> None:
    groups = [post(1).group_ids[0] for _ in range(3)]
    with store.begin() as session:
        first, second = outbox.pending(session, 2)
        assert [first.group_id, second.group_id] == groups[:2]
        outbox.sent(session, [first.id, second.id])
        outbox.sent(session, [])
    with reading(store) as session:
        assert [row.group_id for row in outbox.pending(session, 9)] == groups[2:]


def test_a_wake_up_names_the_model_of_its_job(store: Store, post: Post) -> None:
    one, other = post(1, model="meta/one"), post(1)
    with reading(store) as session:
        assert [row.model for row in outbox.pending(session, 9)] == ["meta/one", "tiny"]
        asked = [*other.group_ids, *one.group_ids, "grp_gone"]
        assert outbox.models(session, asked) == {
            one.group_ids[0]: "meta/one",
            other.group_ids[0]: "tiny",
        }
        assert outbox.models(session, []) == {}


def test_a_group_is_due_while_it_waits_and_not_while_it_is_worked_on(
    store: Store, post: Post, take: Take, outcome: Outcome
) -> None:
    created = post(1)
    assert due(store, older_than_seconds=60) == []  # woken when it was posted
    assert due(store) == created.group_ids
    assert due(store, older_than_seconds=60) == []  # and now again
    claim = take(created.group_ids[0])
    assert due(store) == []
    with store.begin() as session:
        session.execute(update(PromptRow).values(lease_expires_at=now() - timedelta(seconds=1)))
    assert due(store) == created.group_ids
    with store.begin() as session:
        leases.renew(session, claim, ttl_seconds=60)
    assert due(store) == []
    with store.begin() as session:
        results.finish(session, claim, "p1", outcome("p1"))
    assert due(store) == []


def test_groups_of_dead_workers_go_first_and_waiting_ones_take_turns(
    store: Store, post: Post, take: Take
) -> None:
    created = post(6, method={"name": "aisp", "batch_size": 1})
    take(created.group_ids[5], ttl_seconds=-1)
    waiting = created.group_ids[:5]
    turns = [due(store, limit=2) for _ in range(3)]
    assert [turn[0] for turn in turns] == [created.group_ids[5]] * 3
    turned = [group for turn in turns for group in turn[1:]]
    assert set(turned[:5]) == set(waiting)
    assert turned[5] == turned[0]


def test_a_long_job_that_waits_holds_up_no_other(store: Store, post: Post) -> None:
    by_one = {"name": "aisp", "batch_size": 1}
    first, second = post(6, method=by_one), post(3, method=by_one)
    turns = [due(store, limit=2) for _ in range(3)]
    for place, turn in enumerate(turns):
        assert set(turn) == {first.group_ids[place], second.group_ids[place]}


def test_a_cancelling_job_is_not_woken(store: Store, post: Post, take: Take) -> None:
    created = post(1)
    take(created.group_ids[0], ttl_seconds=-1)
    with store.begin() as session:
        jobs.request_cancel(session, created.job_id)
    assert due(store) == []
