"""Whoever sent a request: whose jobs they see, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.errors import ProblemError
from prelogit.wire.keys import DEFAULT_PROJECT, EVERY_PROJECT, KeyInfo, Scope


@dataclass(frozen=True)
class Caller:
    """Who asks.

    project: where their jobs go. sees: whose jobs they see, None: everybody's. key: None where
    none was asked for.
    """

    project: str
    sees: str | None
    scopes: frozenset[Scope]
    key: KeyInfo | None = None

    def may(self, scope: Scope) -> bool:
        """Whether they may do what needs that scope; ``admin`` has all."""
        return scope in self.scopes or "admin" in self.scopes


# On a gateway that asks for no key. Not an admin: other users of the same machine reach it too.
NOBODY = Caller(DEFAULT_PROJECT, DEFAULT_PROJECT, frozenset({"submit", "read"}))


def holder(key: KeyInfo) -> Caller:
    """Who holds this key."""
    everywhere = key.project == EVERY_PROJECT
    return Caller(
        project=DEFAULT_PROJECT if everywhere else key.project,
        sees=None if everywhere else key.project,
        scopes=frozenset(key.scopes),
        key=key,
    )


def unauthorized() -> ProblemError:
    """401 in always the same words: they do not tell what is wrong with the key."""
    return ProblemError(
        401,
        "this needs an API key that is known here and has neither expired nor been revoked: send "
        "it as Authorization: Bearer plk_…",
        headers={"WWW-Authenticate": 'Bearer realm="prelogit"'},
    )


def caller_of(request: Request) -> Caller:
    """Who sent this request, as the gate found. Raises ProblemError 401 where it found nobody."""
    caller = getattr(request.state, "caller", None)
    if not isinstance(caller, Caller):
        raise unauthorized()
    return caller


Who = Annotated[Caller, Depends(caller_of)]
