from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from db.session import make_engine, sessions
from workers.store import transaction


@pytest.fixture
def locked(fresh_sqlite: str) -> sqlite3.Connection:
    """Another connection that holds the database's write lock."""
    other = sqlite3.connect(fresh_sqlite.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def impatient(url: str) -> sessionmaker[Session]:
    return sessionmaker(create_engine(url, connect_args={"timeout": 0}))


def insert(session: Session) -> str:
    session.execute(text("INSERT INTO ownerships VALUES ('name', 'owner', '2026-01-01', 1)"))
    return "done"


def test_a_transaction_waits_for_a_silent_database(
    fresh_sqlite: str, locked: sqlite3.Connection
) -> None:
    store, tries = impatient(fresh_sqlite), []

    def work(session: Session) -> str:
        tries.append(1)
        if len(tries) == 3:
            locked.execute("ROLLBACK")
        return insert(session)

    assert transaction(store, work, patience_seconds=60) == "done"
    assert len(tries) == 3
    assert locked.execute("SELECT count(*) FROM ownerships").fetchone() == (1,)
    locked.close()
    store.kw["bind"].dispose()


def test_it_gives_up_after_its_patience(fresh_sqlite: str, locked: sqlite3.Connection) -> None:
    store = impatient(fresh_sqlite)
    with pytest.raises(OperationalError):
        transaction(store, insert, patience_seconds=0.2)
    locked.close()
    store.kw["bind"].dispose()


def test_what_is_not_the_databases_silence_is_raised_at_once(fresh_sqlite: str) -> None:
    store, tries = impatient(fresh_sqlite), []

    def work(session: Session) -> None:
        tries.append(1)
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        transaction(store, work, patience_seconds=60)
    assert len(tries) == 1
    store.kw["bind"].dispose()


class Refusing:
    """Work on a store that takes nothing before a try, and whether it is time to stop."""

    def __init__(self, *, before: int, stops_at: int | None = None) -> None:
        self.tries, self._before, self._stops_at = 0, before, stops_at

    def work(self, session: Session) -> str:
        self.tries += 1
        refused = self.tries < self._before
        if not refused:
            return insert(session)
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET TRANSACTION READ ONLY"))
            return insert(session)
        session.execute(text("PRAGMA query_only=ON"))
        try:
            return insert(session)
        finally:  # else the connection's next transaction does not even begin
            session.execute(text("PRAGMA query_only=OFF"))

    def stopping(self) -> bool:
        return self.tries == self._stops_at


@pytest.fixture
def store(store_url: str) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(store_url)
    yield sessions(engine)
    engine.dispose()


def test_a_store_that_takes_nothing_is_waited_for_past_any_patience(
    store: sessionmaker[Session], caplog: pytest.LogCaptureFixture
) -> None:
    refusing = Refusing(before=4)
    told = transaction(store, refusing.work, patience_seconds=0, stopping=refusing.stopping)
    assert (told, refusing.tries) == ("done", 4)
    assert caplog.text.count("the store is read-only") == 3
    with store() as session:
        assert session.scalar(text("SELECT count(*) FROM ownerships")) == 1


def test_the_wait_ends_when_the_worker_is_to_stop(store: sessionmaker[Session]) -> None:
    refusing = Refusing(before=10, stops_at=2)
    with pytest.raises(DBAPIError):
        transaction(store, refusing.work, patience_seconds=60, stopping=refusing.stopping)
    assert refusing.tries == 2


def test_who_cannot_be_told_to_stop_waits_for_no_store_past_its_patience(
    store: sessionmaker[Session],
) -> None:
    refusing = Refusing(before=10)
    with pytest.raises(DBAPIError):
        transaction(store, refusing.work, patience_seconds=0)
    assert refusing.tries == 1


def test_a_store_that_is_silent_is_not_waited_for_past_the_patience(
    fresh_sqlite: str, locked: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    store = impatient(fresh_sqlite)
    with pytest.raises(OperationalError):
        transaction(store, insert, patience_seconds=0.2, stopping=lambda: False)
    assert "the store does not answer" in caplog.text
    locked.close()
    store.kw["bind"].dispose()
