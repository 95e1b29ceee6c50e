"""Engines and sessions: no lost update, no blocked reader, no password in an error."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import Session, sessionmaker

from db import jobs
from db.models import JobRow
from db.session import check, make_engine, migrate, now, reading, sessions
from db.trouble import refuses_writes
from prelogit.core.errors import StoreError

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]


def test_reading_first_and_writing_later_loses_no_update(store: Store, post: Post) -> None:
    job_id = post(1).job_id
    threads, each = 4, 25

    def adding(_: int) -> None:
        for _ in range(each):
            with store.begin() as session:
                seen = session.scalar(
                    select(JobRow.candidates).where(JobRow.id == job_id).with_for_update()
                )
                assert seen is not None
                session.execute(
                    update(JobRow).where(JobRow.id == job_id).values(candidates=seen + 1)
                )

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(adding, range(threads)))
    with reading(store) as session:
        assert session.scalar(select(JobRow.candidates)) == threads * each


def test_a_reader_sees_one_moment_and_waits_for_no_writer(store: Store, post: Post) -> None:
    post(1)
    with reading(store) as session:
        assert len(session.scalars(select(JobRow.id)).all()) == 1
        with store() as writer:
            writer.execute(update(JobRow).values(candidates=7))
            with reading(store) as other:  # while the write is not committed
                assert other.scalar(select(JobRow.candidates)) == 0
            writer.commit()
        assert session.scalar(select(JobRow.candidates)) == 0
    with reading(store) as session:
        assert session.scalar(select(JobRow.candidates)) == 7


def test_reading_leaves_no_mark_on_the_connection(store: Store, post: Post) -> None:
    for _ in range(3):
        with reading(store) as session:
            session.scalars(select(JobRow.id)).all()
        post(1)


def test_postgres_refuses_writes_while_reading(fresh_postgres: str) -> None:
    engine = make_engine(fresh_postgres)
    with reading(sessionmaker(engine)) as session, pytest.raises(DBAPIError, match="read-only"):
        session.execute(update(JobRow).values(candidates=7))
    engine.dispose()


def test_times_come_back_aware_and_in_utc(store: Store, post: Post) -> None:
    job_id = post(1).job_id
    east = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=east)
    with store.begin() as session:
        session.execute(update(JobRow).values(started_at=moment))
    with reading(store) as session:
        job = session.get(JobRow, job_id)
        assert job is not None
        assert job.started_at == moment
        assert job.started_at.tzinfo is UTC
    assert now().tzinfo is UTC
    with store() as session, pytest.raises(StatementError, match="without a zone"):
        session.execute(update(JobRow).values(started_at=datetime(2026, 1, 2)))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@127.0.0.1:1/none",
        "postgres://me:hunter2@127.0.0.1:1/none",
        "mysql://me:hunter2@127.0.0.1/none",
        "postgresql+asyncpg://me:hunter2@127.0.0.1:1/none",
        "postgresql:/me:hunter2@",
        "postgresql://me:hunter2@127.0.0.1:port/none",
        "hunter2",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////proc/hunter2/store.db",
    ],
)
def test_errors_name_the_cure_and_never_the_password(url: str) -> None:
    with pytest.raises(StoreError, match="PRELOGIT_DATABASE_URL") as caught:
        check(make_engine(url))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreError, match="PRELOGIT_DATABASE_URL") as caught:
        migrate(make_engine(url))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_errors_of_the_database_hide_what_was_stored(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text("SELECT :secret FROM nowhere"), {"secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_look_at_a_read_only_database_lets_nobody_write_afterwards(fresh_postgres: str) -> None:
    engine = make_engine(fresh_postgres)
    with engine.begin() as connection:
        connection.execute(text("SET default_transaction_read_only = on"))
    with reading(sessions(engine)) as session:
        session.execute(select(JobRow.id))
    with pytest.raises(DBAPIError) as refused, engine.begin() as connection:
        connection.execute(text("DELETE FROM jobs"))
    assert refuses_writes(refused.value)
    engine.dispose()


def test_a_broken_connection_is_replaced(fresh_postgres: str) -> None:
    engine = make_engine(fresh_postgres)
    with engine.connect() as connection:
        victim = connection.scalar(text("SELECT pg_backend_pid()"))
    killer = make_engine(fresh_postgres)
    with killer.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": victim})
    check(engine)
    engine.dispose()
    killer.dispose()


def test_the_folder_of_a_new_file_is_made_and_private(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/a/store.db")
    migrate(engine)
    check(engine)
    engine.dispose()
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


def test_opening_a_new_file_waits_for_another_process_that_writes_it(tmp_path: Path) -> None:
    """SQLite itself refuses the change to a write-ahead log here, at once."""
    path = tmp_path / "store.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE theirs (id)")
    engine = make_engine(f"sqlite:///{path}")

    def opening() -> str:
        with engine.connect() as connection:
            return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())

    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(opening)
        time.sleep(0.1)  # let it run into the lock
        other.execute("COMMIT")
        other.close()
        assert opened.result(60) == "wal"
    engine.dispose()
