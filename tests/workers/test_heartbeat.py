from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import leases, presence, results
from db.leases import Claim
from db.session import make_engine, reading, sessions
from prelogit.core.errors import LeaseLostError
from prelogit.core.records import Result
from prelogit.engine.load import Model
from tests.workers.processes import until
from workers.heartbeat import Heartbeat

Store = sessionmaker[Session]
TTL_SECONDS = 0.6


@pytest.fixture
def claimed(store: Store, post: Callable[..., tuple[str, str]], model: Model) -> Claim:
    """A claim on two prompts, a and b."""
    _, group_id = post([{"id": "a", "prompt": "Why?"}, {"id": "b", "prompt": "Who?"}])
    with store.begin() as session:
        claim = leases.claim(
            session, group_id, owner="one", model=model.name, ttl_seconds=TTL_SECONDS
        )
    assert claim is not None
    return claim


def taken_over(store: Store, claim: Claim) -> bool:
    with store.begin() as session:
        taken = leases.claim(
            session, claim.group_id, owner="two", model=str(claim.request.model), ttl_seconds=60
        )
        return taken is not None


def test_a_lease_outlives_its_time_while_the_heart_beats(store: Store, claimed: Claim) -> None:
    heartbeat = Heartbeat(store, owner="one", model="tiny", ttl_seconds=TTL_SECONDS)
    heartbeat.start()
    try:
        with heartbeat.holding(claimed) as held:
            time.sleep(3 * TTL_SECONDS)
            assert not taken_over(store, claimed)
            assert held.open == {"a", "b"}
            with reading(store) as session:
                (alive,) = presence.alive(session, within_seconds=TTL_SECONDS)
            assert (alive.owner, alive.model, alive.status) == ("one", "tiny", "searching")
        until(lambda: taken_over(store, claimed), "it ran out, for nobody holds it any more")
    finally:
        heartbeat.stop()


def test_what_another_worker_took_is_told_and_what_ended_is_not_lost(
    store: Store, claimed: Claim, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    heartbeat = Heartbeat(store, owner="one", model="tiny", ttl_seconds=TTL_SECONDS)
    with heartbeat.holding(claimed) as held:
        held.close("a")
        with store.begin() as session:
            result = Result(prompt_id="a", status="failed", error="told by the test")
            results.finish(session, claimed, "a", result)
        time.sleep(1.5 * TTL_SECONDS)  # as if the process had been stopped
        assert taken_over(store, claimed)
        heartbeat.beat()
        assert held.open == frozenset()
        assert "prompt='b'" in caplog.text
        assert "prompt='a'" not in caplog.text
        with pytest.raises(LeaseLostError), store.begin() as session:
            leases.hold(session, claimed, "b")


def test_the_heart_goes_on_beating_after_the_store_was_away(fresh_sqlite: str) -> None:
    engine = make_engine(fresh_sqlite)
    store = sessions(engine)
    heartbeat = Heartbeat(store, owner="one", model="tiny", ttl_seconds=0.1)
    heartbeat.start()
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE workers RENAME TO away")
        time.sleep(0.3)
        with engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM away")
            connection.exec_driver_sql("ALTER TABLE away RENAME TO workers")

        def beats() -> bool:
            with reading(store) as session:
                return bool(presence.alive(session, within_seconds=60))

        until(beats, "it beats again")
    finally:
        heartbeat.stop()
        engine.dispose()


def test_who_stops_is_gone_at_once_and_silence_of_the_store_holds_nobody_up(
    fresh_sqlite: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(fresh_sqlite)
    store = sessions(engine)
    beating = [Heartbeat(store, owner=name, model="tiny", ttl_seconds=60) for name in ("a", "b")]
    for heartbeat in beating:
        heartbeat.start()
    beating[0].stop()
    with reading(store) as session:
        assert [worker.owner for worker in presence.alive(session, 60)] == ["b"]
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE workers")
    beating[1].stop()
    engine.dispose()
    assert "cannot say goodbye" in caplog.text
