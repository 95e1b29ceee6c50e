"""Webhook events: written in the transaction of what they tell, delivered later, at least once.

A claim is an attempt: it counts, and its number is the fence. Rows are claimed without their job's
lock, which is safe because who claims takes no other lock.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session
from ulid import ULID

from db import cursor as cursors
from db.columns import dumped
from db.models import DeliveryRow, EventRow, JobRow
from db.session import now
from db.views import view
from prelogit.wire.webhook import Delivery, WebhookEvent

PROMPTS_AN_EVENT = 100
GATHERING_SECONDS = 1.0


class Claimed(NamedTuple):
    """An event that is to be posted now, by whoever claimed it. ``attempt`` counts from 1."""

    id: str
    attempt: int
    created_at: datetime
    url: str
    host: str
    body: bytes


def job_event(session: Session, job_id: str, event: WebhookEvent) -> None:
    """Have the job's webhook told what has just happened to it, if it wants to know.

    The caller holds the job's lock and has written what is told.
    """
    settings = session.scalar(select(JobRow.settings).where(JobRow.id == job_id))
    url = _wanted(settings, event)
    if url is None:
        return
    row = _row(job_id, event, url)
    row["body"] = _body(session, row["id"], event, row["created_at"], job_id)
    session.execute(insert(DeliveryRow).values(row))


def prompt_ended(session: Session, job: JobRow, seq: int) -> None:
    """The same of a prompt that ended with the job's event ``seq``.

    Prompts that end within a second share an event: it carries those of the events from its
    first to its last.
    """
    url = _wanted(job.settings, "prompt.ended")
    if url is None:
        return
    joined = session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.job_id == job.id,
            DeliveryRow.event == "prompt.ended",
            DeliveryRow.attempts == 0,
            DeliveryRow.prompts < PROMPTS_AN_EVENT,
        )
        .values(last_seq=seq, prompts=DeliveryRow.prompts + 1)
        .returning(DeliveryRow.id)
        .execution_options(synchronize_session=False)
    ).first()
    if joined is None:
        row = _row(job.id, "prompt.ended", url)
        row |= {"first_seq": seq, "last_seq": seq, "prompts": 1}
        row["due_at"] += timedelta(seconds=GATHERING_SECONDS)
        session.execute(insert(DeliveryRow).values(row))


def are_due(session: Session) -> bool:
    """Whether anything waits to be posted now."""
    return (
        session.scalar(select(DeliveryRow.id).where(DeliveryRow.due_at <= now()).limit(1))
        is not None
    )


def claim(
    session: Session, *, limit: int, a_host: int, without: Collection[str], lease_seconds: float
) -> list[Claimed]:
    """At most ``limit`` events that are due, and of one host at most ``a_host``.

    Args:   without: hosts that are to be left alone for now.
            lease_seconds: who has not told by then how it went, has died: it is due again.
    """
    time = now()
    due = (
        select(
            DeliveryRow.id,
            DeliveryRow.due_at,
            func.row_number()
            .over(partition_by=DeliveryRow.host, order_by=(DeliveryRow.due_at, DeliveryRow.id))
            .label("place"),
        )
        .where(DeliveryRow.due_at <= time, DeliveryRow.host.not_in(without))
        .subquery()
    )
    chosen = select(due.c.id).where(due.c.place <= a_host).order_by(due.c.due_at, due.c.id)
    rows = session.scalars(
        select(DeliveryRow)
        .where(DeliveryRow.id.in_(chosen.limit(limit)), DeliveryRow.due_at <= time)
        .order_by(DeliveryRow.due_at, DeliveryRow.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    claimed = []
    for row in rows:
        if row.body is None:
            row.body = _body(
                session, row.id, row.event, row.created_at, row.job_id, _ended(session, row)
            )
        row.attempts += 1
        row.last_attempt_at = time
        row.due_at = time + timedelta(seconds=lease_seconds)
        body = dumped(row.body).encode("ascii")
        claimed.append(Claimed(row.id, row.attempts, row.created_at, row.url, row.host, body))
    session.flush()
    return claimed


def delivered(session: Session, one: Claimed, status: int) -> None:
    """It has arrived: the receiver answered with this HTTP status."""
    _settle(
        session, one, status="delivered", due_at=None, delivered_at=now(), last_status=status,
        last_error=None,
    )  # fmt: skip


def failed(
    session: Session, one: Claimed, *, status: int | None, error: str, again_at: datetime | None
) -> None:
    """It has not arrived; ``again_at`` is when to try again, None gives it up."""
    given_up = "waiting" if again_at is not None else "given_up"
    _settle(session, one, status=given_up, due_at=again_at, last_status=status, last_error=error)


def put_back(session: Session, one: Claimed) -> None:
    """Nobody knows whether it has arrived, for the attempt was broken off: it is due at once."""
    _settle(session, one, due_at=now())


def listing(
    session: Session, job_id: str, *, limit: int, cursor: str | None
) -> tuple[list[Delivery], str | None]:
    """A page of the job's events, oldest first, and the cursor of the next page.

    Raises InputError for a cursor that is not one of ours.
    """
    after = "" if cursor is None else cursors.decode(cursor, str)[0]
    rows = session.scalars(
        select(DeliveryRow)
        .where(DeliveryRow.job_id == job_id, DeliveryRow.id > after)
        .order_by(DeliveryRow.id)
        .limit(limit + 1)
        .execution_options(populate_existing=True)
    ).all()
    shown = [
        Delivery(
            id=row.id,
            event=row.event,
            status=row.status,
            created_at=row.created_at,
            attempts=row.attempts,
            last_attempt_at=row.last_attempt_at,
            next_attempt_at=row.due_at,
            delivered_at=row.delivered_at,
            last_status=row.last_status,
            last_error=row.last_error,
        )
        for row in rows[:limit]
    ]
    return shown, cursors.encode(shown[-1].id) if len(rows) > limit else None


def _wanted(settings: dict[str, Any] | None, event: WebhookEvent) -> str | None:
    hook = (settings or {}).get("webhook")
    return hook["url"] if hook is not None and event in hook["events"] else None


def _row(job_id: str, event: WebhookEvent, url: str) -> dict[str, Any]:
    time = now()
    return {
        "id": f"evt_{ULID()}",
        "job_id": job_id,
        "event": event,
        "url": url,
        "host": urlsplit(url).netloc.lower(),
        "status": "waiting",
        "created_at": time,
        "due_at": time,
        "attempts": 0,
        "prompts": 0,
    }


def _body(
    session: Session, event_id: str, event: str, at: datetime, job_id: str, more: Any = None
) -> dict[str, Any]:
    job = view(session, job_id, prompts=False)
    assert job is not None  # noqa: S101 - its event hangs below it
    told = {"id": event_id, "event": event, "created_at": at.isoformat()}
    return {**told, "job": job.model_dump(mode="json", by_alias=True), **(more or {})}


def _ended(session: Session, row: DeliveryRow) -> dict[str, Any]:
    ended = session.scalars(
        select(EventRow.data)
        .where(
            EventRow.job_id == row.job_id,
            EventRow.seq.between(row.first_seq, row.last_seq),
            EventRow.kind == "result",
        )
        .order_by(EventRow.seq)
    )
    return {"prompts": list(ended)}


def _settle(session: Session, one: Claimed, **values: Any) -> None:
    # A claim whose lease ran out may tell late, after another attempt has begun: it is not heard.
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.id == one.id,
            DeliveryRow.attempts == one.attempt,
            DeliveryRow.status == "waiting",
        )
        .values(**values),
        execution_options={"synchronize_session": False},
    )
