from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

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
