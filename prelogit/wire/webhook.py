"""Whom a job tells of itself, and how the telling went."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from prelogit.wire.strict import Strict

WebhookEvent = Literal["job.started", "job.ended", "prompt.ended"]
DeliveryStatus = Literal["waiting", "delivered", "given_up"]


class Webhook(Strict):
    """Where the gateway posts what happens to the job.

    url: of the receiver, which the installation must allow; it holds no user and no password, for a
    job is shown to others. events: job.started (a worker has begun it, again after a retry), job.ended,
    and prompt.ended (prompts that ended, gathered for a second, at most 100 at a time).
    """

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    events: Annotated[tuple[WebhookEvent, ...], Field(min_length=1, max_length=3, strict=False)] = (
        "job.ended",
    )

    @field_validator("url")
    @classmethod
    def _is_a_place(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("must look like https://example.com/hooks/prelogit")
        if "@" in parts.netloc or parts.fragment:
            raise ValueError(
                "must hold neither user, password nor fragment: what comes is signed, and the "
                "receiver knows the sender by that"
            )
        return url

    @field_validator("events")
    @classmethod
    def _each_once(cls, events: tuple[WebhookEvent, ...]) -> tuple[WebhookEvent, ...]:
        if len(set(events)) < len(events):
            raise ValueError("must name each event once")
        return events


class Delivery(BaseModel):
    """One event of a job on its way to the job's webhook.

    id: of the event, which the receiver sees too. attempts: begun so far. next_attempt_at: None once it is delivered or given
    up. last_status: the receiver's HTTP status; None: it gave no answer. last_error: why the last attempt failed; never what
    the receiver wrote.
    """

    id: str
    event: WebhookEvent
    status: DeliveryStatus
    created_at: datetime
    attempts: int
    last_attempt_at: datetime | None
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    last_status: int | None
    last_error: str | None
