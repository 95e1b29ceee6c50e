"""Tasks that only one process may do: held by name, for a while, with a fence."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Integer, bindparam, text
from sqlalchemy.orm import Session

from db.columns import Key, UtcTime
from db.session import now

# Correct on both databases: the row is the lock, and only its holder or time lets go of it.
_ACQUIRE = text(
    "INSERT INTO ownerships (name, owner, expires_at, fence) VALUES (:name, :owner, :expires, 1)"
    " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at,"
    " fence = ownerships.fence + (CASE WHEN ownerships.owner = excluded.owner THEN 0 ELSE 1 END)"
    " WHERE ownerships.expires_at < :now OR ownerships.owner = excluded.owner RETURNING fence"
).bindparams(
    bindparam("name", type_=Key),
    bindparam("owner", type_=Key),
    bindparam("expires", type_=UtcTime),
    bindparam("now", type_=UtcTime),
)


def acquire(session: Session, name: str, owner: str, ttl_seconds: float) -> int | None:
    """Take or renew a task for ``ttl_seconds``.

    Returns a number that grows whenever the owner changes, or None while another holds it.
    """
    time = now()
    expires = time + timedelta(seconds=ttl_seconds)
    fence = session.scalar(
        _ACQUIRE.columns(fence=Integer),
        {"name": name, "owner": owner, "expires": expires, "now": time},
    )
    return None if fence is None else int(fence)
