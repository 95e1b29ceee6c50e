"""Events: numbered without gaps, and never seen out of order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import events, jobs, leases, trace
from db.session import reading
from prelogit.core.errors import StoreError
from prelogit.core.records import Iteration

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]
Round = Callable[..., Iteration]


def test_a_reader_that_follows_misses_nothing(store: Store, post: Post) -> None:
    """Writers race while a reader asks, again and again, for what comes after the last it saw."""
    job_id, other = post(1).job_id, post(1).job_id
    writers, each = 4, 15
    done = Event()

    def writing(writer: int) -> None:
        for number in range(each):
            with store.begin() as session:
                events.append(session, job_id, "iteration", {"writer": writer, "number": number})

    def reading_on() -> list[events.Event]:
        seen: list[events.Event] = []
        while True:
            last_turn = done.is_set()
            with reading(store) as session:
                seen += events.after(session, job_id, seen[-1].seq if seen else 0, 7)
            if last_turn and len(seen) == writers * each:
                return seen
            assert not (last_turn and not seen)

    with ThreadPoolExecutor(writers + 1) as pool:
        reader = pool.submit(reading_on)
        list(pool.map(writing, range(writers)))
        done.set()
        seen = reader.result(60)
    assert [event.seq for event in seen] == list(range(1, writers * each + 1))
    for writer in range(writers):
        mine = [event.data["number"] for event in seen if event.data["writer"] == writer]
        assert mine == list(range(each))
    with store.begin() as session:
        assert events.append(session, other, "job", {}) == 1


def test_an_event_of_an_unknown_job_is_refused(store: Store) -> None:
    with store() as session, pytest.raises(StoreError, match="deleted"):
        events.append(session, "job_unknown", "job", {})


@pytest.mark.parametrize(("after", "count"), [(0, 1), (-(10**30), 1), (1, 0), (10**30, 0)])
def test_any_number_may_be_asked_for(store: Store, post: Post, after: int, count: int) -> None:
    job_id = post(1).job_id
    with store.begin() as session:
        events.append(session, job_id, "job", {"text": "nul\x00 ü"})
        found = events.after(session, job_id, after, 9)
    assert [event.data for event in found] == [{"text": "nul\x00 ü"}] * count


def test_an_iteration_is_told_without_its_lists(
    store: Store, post: Post, take: Take, round_: Round
) -> None:
    claim = take(post(1).group_ids[0])
    with store.begin() as session:
        trace.append(session, claim, "p1", 1, round_(1, **{"lambda": 0.3}), [])
    with reading(store) as session:
        started, told = events.after(session, claim.job_id, 0, 9)
    assert (started.kind, started.data["status"]) == ("job", "running")
    assert (told.kind, told.data["prompt_id"], told.data["arm"], told.data["k"]) == (
        "iteration", "p1", 1, 1,
    )  # fmt: skip
    assert (told.data["lambda"], told.data["best"], told.data["final"]) == (0.3, 0.75, False)
    assert not {"rewards", "weights", "finish"} & set(told.data)


def test_a_transaction_that_fails_leaves_no_event_and_no_gap(store: Store, post: Post) -> None:
    job_id = post(1).job_id
    with store() as session:
        events.append(session, job_id, "job", {"n": 1})
        session.rollback()
    with store.begin() as session:
        assert events.append(session, job_id, "job", {"n": 2}) == 1
