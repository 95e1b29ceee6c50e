"""How much of a key may wait or run: checked in the transaction that adds to it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from api.errors import ProblemError, invalid
from db import admission, keys

RETRY_SECONDS = 30


def check_size(prompts: int, limit: int | None) -> None:
    """Raises ProblemError 422 for a job that no patience would make room for."""
    if limit is not None and prompts > limit:
        raise invalid(
            "prompts",
            f"has {prompts:,} prompts; of this key at most {limit:,} may wait or run: send less",
            allowed={"maxItems": limit},
        )


def check_quota(session: Session, key_id: str | None) -> None:
    """After prompts were added. Raises ProblemError 429: more wait or run than the key may have.

    ``admission.hold`` comes before they are added: of two at once the second counts the first's.
    """
    if key_id is None:
        return
    stored = keys.find(session, key_id)
    limit = None if stored is None else stored.info.unfinished_prompts
    if limit is None:
        return
    if (found := admission.unfinished(session, key_id)) > limit:
        raise ProblemError(
            429,
            f"{found:,} prompts of this key would wait or run, and at most {limit:,} may: send this "
            "again once some have ended, or cancel some",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
