"""One owner at a time, and which workers are alive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from db import ownership, presence
from db.models import WorkerRow
from db.session import now, reading

Store = sessionmaker[Session]


def acquired(
    store: Store, owner: str, ttl_seconds: float = 60, name: str = "reconciler"
) -> int | None:
    with store.begin() as session:
        return ownership.acquire(session, name, owner, ttl_seconds)


def test_one_of_many_becomes_the_owner(store: Store) -> None:
    threads = 8
    start = Barrier(threads)

    def racing(number: int) -> int | None:
        start.wait()
        return acquired(store, f"gateway {number}")

    with ThreadPoolExecutor(threads) as pool:
        fences = list(pool.map(racing, range(threads)))
    assert [fence for fence in fences if fence is not None] == [1]


def test_an_owner_stays_until_its_time_is_over(store: Store) -> None:
    assert acquired(store, "a") == 1
    assert acquired(store, "a") == 1
    assert acquired(store, "b") is None
    assert acquired(store, "b", name="another task") == 1
    assert acquired(store, "a", ttl_seconds=-1) == 1
    assert acquired(store, "b") == 2
    assert acquired(store, "a") is None


def test_workers_are_alive_while_they_say_so(store: Store) -> None:
    with store.begin() as session:
        presence.beat(session, "w1", "tiny", "idle")
        presence.beat(session, "w2", "tiny", "idle")
        presence.beat(session, "w1", "tiny", "busy")
    with reading(store) as session:
        found = {worker.owner: worker for worker in presence.alive(session, 60)}
    assert {owner: worker.status for owner, worker in found.items()} == {"w1": "busy", "w2": "idle"}
    assert abs(found["w1"].seen_at - now()) < timedelta(minutes=1)
    with store.begin() as session:
        session.execute(
            update(WorkerRow)
            .where(WorkerRow.owner == "w2")
            .values(seen_at=now() - timedelta(minutes=5))
        )
        assert [worker.owner for worker in presence.alive(session, 60)] == ["w1"]
        session.execute(update(WorkerRow).values(seen_at=now() - timedelta(days=2)))
        presence.beat(session, "w3", "tiny", "idle")
        assert [worker.owner for worker in presence.alive(session, 10**6)] == ["w3"]
        presence.beat(session, "w4", "tiny", "idle")
        presence.leave(session, "w3")
        presence.leave(session, "w3")
        assert [worker.owner for worker in presence.alive(session, 10**6)] == ["w4"]
