"""The table of webhook events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.declared import Base


class DeliveryRow(Base):
    """An event that a job's webhook is to be told of, and how that went.

    ``due_at``: when it is to be posted, or when a claim on it ends; None: delivered or given up.
    ``attempts`` is also the fence of a claim.
    """

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    event: Mapped[str]
    url: Mapped[str]
    host: Mapped[str]  # of the URL, with its port: what is posted to together
    status: Mapped[str]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    attempts: Mapped[int]
    last_attempt_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[Any | None]
    body: Mapped[dict[str, Any] | None]  # None until the prompts in it are known
    # Of prompts that ended: the job's events that tell of them, and how many there are.
    first_seq: Mapped[int | None] = mapped_column(BigInteger)
    last_seq: Mapped[int | None] = mapped_column(BigInteger)
    prompts: Mapped[int]
