"""What ails a database that refuses, said with the cure and without what it had been given."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

_FULL = "53100"  # PostgreSQL's disk_full
_READ_ONLY = "25006"  # its read_only_sql_transaction
# SQLite's; the second is of a connection that finds no room for what it shares with the others.
_FULL_NAMES = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")


def refuses_writes(error: BaseException | None) -> bool:
    """Whether the database answers, and takes nothing: it is full, or read-only."""
    return _is_full(error) or _is_read_only(error)


def trouble(error: BaseException | None) -> str:
    """Full, read-only, or not answering."""
    if _is_full(error):
        return (
            "the store's disk is full, so that nothing was stored; what is stored stays: make room "
            "there, then try again"
        )
    if _is_read_only(error):
        return (
            "the store is read-only, so that nothing was stored; what is stored stays: let the "
            "service write to its database, then try again"
        )
    return "the store does not answer: try again; /health/ready says more"


def _is_full(error: BaseException | None) -> bool:
    state, name = _codes(error)
    return state == _FULL or name.startswith(_FULL_NAMES)


def _is_read_only(error: BaseException | None) -> bool:
    state, name = _codes(error)
    return state == _READ_ONLY or name.startswith("SQLITE_READONLY")


def _codes(error: BaseException | None) -> tuple[str | None, str]:
    """PostgreSQL's code and SQLite's, of an error that came from one of them."""
    original = error.orig if isinstance(error, DBAPIError) else None
    state = getattr(original, "sqlstate", None)
    return state, str(getattr(original, "sqlite_errorname", ""))
