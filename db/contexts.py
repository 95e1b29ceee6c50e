"""The trace that a job's groups belong to, so that a worker goes on with the one of the request."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.models import GroupRow


def remember(session: Session, group_ids: Sequence[str], traceparent: str | None) -> None:
    """Store with groups the W3C ``traceparent`` of the request that queued them; None: there is none."""
    for at in range(0, len(group_ids), 500):
        session.execute(
            update(GroupRow)
            .where(GroupRow.id.in_(group_ids[at : at + 500]))
            .values(traceparent=traceparent),
            execution_options={"synchronize_session": False},
        )


def of_group(session: Session, group_id: str) -> str | None:
    """What was stored with a group."""
    return session.scalar(select(GroupRow.traceparent).where(GroupRow.id == group_id))
