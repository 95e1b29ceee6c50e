"""What ails a database that refuses, said with the cure and without what it had been given."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

_FULL = "53100"  # PostgreSQL's disk_full
_READ_ONLY = "25006"  # its read_only_sql_transaction


def trouble(error: SQLAlchemyError) -> str:
    """Full, read-only, or not answering."""
    original = error.orig if isinstance(error, DBAPIError) else None
    state = getattr(original, "sqlstate", None)
    name = str(getattr(original, "sqlite_errorname", ""))
    if state == _FULL or name.startswith("SQLITE_FULL"):
        return (
            "the store's disk is full, so that nothing was stored; what is stored stays: make room "
            "there, then try again"
        )
    if state == _READ_ONLY or name.startswith("SQLITE_READONLY"):
        return (
            "the store is read-only, so that nothing was stored; what is stored stays: let the "
            "service write to its database, then try again"
        )
    return "the store does not answer: try again; /health/ready says more"
