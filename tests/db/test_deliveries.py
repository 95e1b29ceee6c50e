"""Webhook events: written with what they tell, claimed by one, heard once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from db import deliveries, jobs, results
from db.deliveries import Claimed
from db.models import DeliveryRow
from db.session import now, reading
from prelogit.core.records import Result
from prelogit.wire.webhook import Delivery
from tests.db.conftest import Post, Take

Store = sessionmaker[Session]
HOOK = {"url": "https://example.com/hook", "events": ["job.started", "job.ended", "prompt.ended"]}


def all_due(store: Store) -> None:
    """As if the seconds of gathering, pauses and leases were over."""
    with store.begin() as session:
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.due_at.is_not(None))
            .values(due_at=now() - timedelta(seconds=1))
        )


def claim(store: Store, **changes: Any) -> list[Claimed]:
    asked: dict[str, Any] = {"limit": 100, "a_host": 100, "without": [], "lease_seconds": 60}
    with store.begin() as session:
        return deliveries.claim(session, **{**asked, **changes})


def told(store: Store) -> list[dict[str, Any]]:
    all_due(store)
    return [json.loads(one.body) for one in claim(store)]


def listed(store: Store, job_id: str) -> list[Delivery]:
    with reading(store) as session:
        return deliveries.listing(session, job_id, limit=100, cursor=None)[0]


@pytest.fixture
def run(store: Store, take: Take, outcome: Callable[..., Result]) -> Callable[[jobs.Created], None]:
    """Runs a job to its end."""

    def run(job: jobs.Created) -> None:
        for group in job.group_ids:
            claimed = take(group)
            for prompt in claimed.prompts:
                with store.begin() as session:
                    results.finish(session, claimed, prompt.prompt_id, outcome(prompt.prompt_id))

    return run


def test_a_job_tells_of_its_start_its_prompts_and_its_end(
    store: Store, post: Post, run: Callable[[jobs.Created], None]
) -> None:
    job = post(3, webhook=HOOK, metadata={"team": "x"})
    run(job)
    found = {event["event"]: event for event in told(store)}
    assert set(found) == {"job.started", "job.ended", "prompt.ended"}
    ended = found["job.ended"]
    assert ended["id"].startswith("evt_")
    assert ended["job"]["id"] == job.job_id
    assert ended["job"]["status"] == "succeeded"
    assert ended["job"]["counts"]["succeeded"] == 3
    assert "prompts" not in ended["job"]["request"]
    assert ended["job"]["request"]["metadata"] == {"team": "x"}
    assert found["job.started"]["job"]["status"] == "running"
    assert [one["prompt_id"] for one in found["prompt.ended"]["prompts"]] == ["p1", "p2", "p3"]
    assert {one["status"] for one in found["prompt.ended"]["prompts"]} == {"succeeded"}


def test_only_what_was_asked_for_is_told(
    store: Store, post: Post, run: Callable[[jobs.Created], None]
) -> None:
    run(post(1))
    run(post(1, webhook={"url": HOOK["url"]}))
    assert [event["event"] for event in told(store)] == ["job.ended"]


def test_an_end_that_was_not_stored_is_not_told(
    store: Store, post: Post, take: Take, outcome: Callable[..., Result]
) -> None:
    job = post(1, webhook=HOOK)
    held = take(job.group_ids[0])
    session = store()
    results.finish(session, held, "p1", outcome("p1"))
    session.rollback()
    session.close()
    assert [event["event"] for event in told(store)] == ["job.started"]


def test_the_body_stays_as_it_was_at_every_attempt(
    store: Store, post: Post, run: Callable[[jobs.Created], None], take: Take
) -> None:
    job = post(2, webhook=HOOK)
    held = take(job.group_ids[0])
    with store.begin() as session:
        results.fail(session, held, "p1", "bad")
        results.fail(session, held, "p2", "bad")
    all_due(store)
    first = {one.id: one.body for one in claim(store)}
    with store.begin() as session:
        jobs.retry(session, job.job_id)
    run(job)
    all_due(store)
    again = {one.id: one.body for one in claim(store) if one.attempt == 2}
    assert again == first
    assert len(listed(store, job.job_id)) == 6


def test_prompts_that_end_together_share_an_event_up_to_a_limit(
    store: Store,
    post: Post,
    run: Callable[[jobs.Created], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deliveries, "PROMPTS_AN_EVENT", 3)
    run(post(8, webhook={"url": HOOK["url"], "events": ["prompt.ended"]}))
    sizes = [len(event["prompts"]) for event in told(store)]
    assert sorted(sizes) == [2, 3, 3]


def test_prompts_are_gathered_before_they_are_told(
    store: Store, post: Post, run: Callable[[jobs.Created], None]
) -> None:
    run(post(1, webhook={"url": HOOK["url"], "events": ["prompt.ended"]}))
    with reading(store) as session:
        assert not deliveries.are_due(session)


def test_an_event_is_claimed_by_one_until_the_lease_ends(
    store: Store, post: Post, run: Callable[[jobs.Created], None]
) -> None:
    run(post(1, webhook={"url": HOOK["url"]}))
    (first,) = claim(store)
    assert claim(store) == []
    all_due(store)
    (second,) = claim(store)
    assert (first.id, first.attempt, second.attempt) == (second.id, 1, 2)


def test_who_tells_too_late_is_not_heard(
    store: Store, post: Post, run: Callable[[jobs.Created], None]
) -> None:
    job = post(1, webhook={"url": HOOK["url"]})
    run(job)
    (late,) = claim(store)
    all_due(store)
    (second,) = claim(store)

    def tell_late() -> None:
        with store.begin() as session:
            deliveries.failed(session, late, status=None, error="no answer", again_at=now())
            deliveries.put_back(session, late)

    tell_late()
    assert claim(store) == []  # the second attempt is still under way
    with store.begin() as session:
        deliveries.delivered(session, second, 204)
    tell_late()
    (row,) = listed(store, job.job_id)
    assert (row.status, row.attempts, row.last_status, row.last_error) == (
        "delivered",
        2,
        204,
        None,
    )
    assert row.next_attempt_at is None
    all_due(store)
    assert claim(store) == []


def test_a_failure_is_kept_and_tried_again_or_given_up(
    store: Store, post: Post, run: Callable[[jobs.Created], None]
) -> None:
    job = post(1, webhook={"url": HOOK["url"]})
    run(job)
    (one,) = claim(store)
    later = now() + timedelta(hours=1)
    with store.begin() as session:
        deliveries.failed(session, one, status=500, error="status 500", again_at=later)
    (row,) = listed(store, job.job_id)
    assert (row.status, row.last_status, row.last_error) == ("waiting", 500, "status 500")
    assert row.next_attempt_at == later
    assert claim(store) == []
    all_due(store)
    (one,) = claim(store)
    with store.begin() as session:
        deliveries.failed(session, one, status=410, error="status 410", again_at=None)
    (row,) = listed(store, job.job_id)
    assert (row.status, row.next_attempt_at, row.attempts) == ("given_up", None, 2)


def test_a_host_gets_its_share_and_no_more(
    store: Store, post: Post, run: Callable[[jobs.Created], None]
) -> None:
    for place in range(6):
        run(post(1, webhook={"url": f"https://slow.example.com/{place}"}))
    run(post(1, webhook={"url": "https://quick.example.com"}))
    hosts = [one.host for one in claim(store, limit=5, a_host=2)]
    assert sorted(hosts) == ["quick.example.com", "slow.example.com", "slow.example.com"]
    assert claim(store, without=["slow.example.com"]) == []


def test_events_are_listed_in_pages(
    store: Store, post: Post, run: Callable[[jobs.Created], None]
) -> None:
    job = post(1, webhook=HOOK)
    run(job)
    with reading(store) as session:
        first, cursor = deliveries.listing(session, job.job_id, limit=2, cursor=None)
        rest, end = deliveries.listing(session, job.job_id, limit=2, cursor=cursor)
    assert [one.event for one in first][:1] == ["job.started"]
    assert len(first) == 2
    assert len(rest) == 1
    assert end is None
