"""The table of API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from db.declared import Base


class KeyRow(Base):
    """An API key: who may do what with it. Of its secret only the hash is here.

    Rows stay after a revocation: jobs name the key that posted them.
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    secret_hash: Mapped[str]  # SHA-256 in hex
    project: Mapped[str]
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    rate_per_minute: Mapped[int | None]
    running_prompts: Mapped[int | None]
    unfinished_prompts: Mapped[int | None]
