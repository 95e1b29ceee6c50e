"""Engines, sessions and the clock; the settings that make SQLite and PostgreSQL safe to share."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from db.schema import check, migrate
from prelogit.core.errors import StoreError

__all__ = ["check", "close", "make_engine", "migrate", "now", "reading", "sessions"]

BUSY_SECONDS = 30
SETTING = "PRELOGIT_DATABASE_URL"


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def make_engine(url: str) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql://user:password@host/name``.

    Connects to nothing yet. Raises StoreError, which never shows the password.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    return _postgresql(parsed)


def sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions that write; on SQLite each takes the write lock when it begins."""
    return sessionmaker(engine, expire_on_commit=False, autoflush=False)


def close(engine: Engine) -> None:
    """Closes all connections: those that are in use as soon as they are given back.

    A request that the server broke off may still be in a thread, and have one.
    """

    @event.listens_for(engine, "checkin")
    def _close(dbapi: object, record: ConnectionPoolEntry) -> None:
        record.close()

    engine.dispose()


@contextmanager
def reading(maker: sessionmaker[Session]) -> Iterator[Session]:
    """A session that only reads, all of it from one moment, and blocks no writer."""
    with maker() as session:
        options: dict[str, Any] = {"prelogit_reading": True}
        if session.get_bind().dialect.name == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        session.connection(execution_options=options)
        yield session


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The error of SQLAlchemy repeats what it was given, password and all.
        raise StoreError(
            f"{SETTING} is not a database URL: give sqlite:///path/to/file or "
            "postgresql://user:password@host:5432/name"
        ) from None
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(
            f"{SETTING} names the database {parsed.drivername!r}: only sqlite:///path and "
            "postgresql://… are supported"
        )
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise StoreError(
            f"{SETTING} must name a file (sqlite:///path/to/file): gateway and workers are "
            "separate processes and cannot share a database in memory"
        )
    return parsed


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS},
        pool_size=10,
        max_overflow=30,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(dbapi: Any, record: Any) -> None:
        # The driver's own idea of transactions leaves SELECTs outside of them: lost updates.
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        cursor.execute(f"PRAGMA busy_timeout={1000 * BUSY_SECONDS}")
        _use_write_ahead_log(cursor)
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA journal_size_limit=67108864")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would find the database locked.
        only_reads = connection.get_execution_options().get("prelogit_reading", False)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

    return engine


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    # Of several processes that open a new file at once, SQLite refuses this to all but one
    # without waiting for the busy timeout.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={"connect_timeout": 5, "application_name": "prelogit"},
        pool_size=10,
        max_overflow=30,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(dbapi: Any, record: Any) -> None:
        # A process that is frozen inside a transaction must not hold its locks for ever.
        dbapi.autocommit = True
        dbapi.execute("SET idle_in_transaction_session_timeout = '60s'")
        dbapi.autocommit = False

    @event.listens_for(engine, "checkin")
    def _forget(dbapi: Any, record: ConnectionPoolEntry) -> None:
        # After a look SQLAlchemy leaves "READ WRITE" behind, which overrules a database that is
        # read-only by default, and which a standby refuses with another error than a write.
        idle = dbapi is not None and dbapi.pgconn.transaction_status == TransactionStatus.IDLE
        if idle and dbapi.read_only is not None:
            dbapi.read_only = None

    return engine
