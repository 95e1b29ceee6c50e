"""API keys at the border: what they look like, what is asked for, what is told of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, Field, field_validator

from prelogit.wire.strict import Strict

Scope = Literal["submit", "read", "admin"]
SCOPES: tuple[Scope, ...] = ("submit", "read", "admin")
DEFAULT_PROJECT = "default"
EVERY_PROJECT = "*"  # of a key: it sees the jobs of all

PREFIX = "plk_"  # so that a lost key is found by whoever scans for secrets
_KEY = re.compile(PREFIX + r"(?P<id>[0-9a-f]{12})_(?P<secret>[0-9a-f]{64})")
_SECRET = re.compile(PREFIX + r"[0-9A-Za-z_-]+")
_MOST = 2**31 - 1

Project = Annotated[
    str,
    Field(
        pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,63})$",
        description="Letters, digits, dot, dash and underscore; `*`: every project.",
    ),
]
Limit = Annotated[int, Field(ge=1, le=_MOST)]


class KeyParts(NamedTuple):
    """A key taken apart: ``id`` names it and may be told, ``secret`` may not."""

    id: str
    secret: str


def key_parts(text: str) -> KeyParts | None:
    """The parts of what looks like a key; None for anything else."""
    found = _KEY.fullmatch(text)
    return KeyParts(found["id"], found["secret"]) if found else None


def without_keys(text: str) -> str:
    """The text with nothing left of what looks like the secret of a key."""
    return _SECRET.sub(f"{PREFIX}…", text)


def written_key(parts: KeyParts) -> str:
    """The key as its owner sends it."""
    return f"{PREFIX}{parts.id}_{parts.secret}"


class KeyRequest(Strict):
    """The body of ``POST /v1/keys``."""

    project: Project = DEFAULT_PROJECT
    scopes: Annotated[
        tuple[Scope, ...],
        Field(
            min_length=1,
            max_length=len(SCOPES),
            strict=False,
            description="`read`: look at jobs; `submit`: post, cancel, retry and delete them; "
            "`admin`: both, and keys.",
        ),
    ] = ("submit", "read")
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = None
    rate_per_minute: Annotated[
        Limit | None, Field(description="Most requests a minute; null: any number.")
    ] = None
    running_prompts: Annotated[
        Limit | None, Field(description="Most prompts that run at the same time; null: any.")
    ] = None
    unfinished_prompts: Annotated[
        Limit | None, Field(description="Most prompts that wait or run; null: any number.")
    ] = None

    @field_validator("scopes")
    @classmethod
    def _each_once(cls, scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
        return tuple(scope for scope in SCOPES if scope in scopes)

    @field_validator("expires_at")
    @classmethod
    def _in_the_future(cls, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        if moment <= datetime.now(UTC):
            raise ValueError("must be a moment in the future, such as 2030-01-01T00:00:00Z")
        try:
            return moment.astimezone(UTC)
        except OverflowError:  # the last hours of the year 9999, told elsewhere in the world
            raise ValueError("must be a moment before the year 10000") from None


class KeyInfo(BaseModel):
    """What is told of a key: all but its secret."""

    object: Literal["api_key"] = "api_key"
    id: str
    project: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rate_per_minute: int | None
    running_prompts: int | None
    unfinished_prompts: int | None


class NewKey(KeyInfo):
    """A key that was just made; ``key`` is shown this once."""

    key: Annotated[str, Field(repr=False)]
