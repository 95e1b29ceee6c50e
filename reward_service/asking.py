"""Scores for a request, as long as its client waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from fastapi import Request

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.reward import Scored
from reward_service.hosting import Hosting

CLIENT_CLOSED_REQUEST = 499


def hosting_of(request: Request) -> Hosting:
    """The app's rewards."""
    hosting = request.app.state.hosting
    assert isinstance(hosting, Hosting)  # noqa: S101  # set by create_app
    return hosting


def refuse_half_characters(texts: Iterable[tuple[str, str]]) -> None:
    r"""JSON can say ``"\ud800"``, half of a surrogate pair, which no tokenizer takes.

    Args:   texts: pairs of field and text.
    Raises: InputError: names the first field with one.
    """
    for field, text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{field} is not Unicode text (character {error.start} is half of a surrogate pair)",
                field=field,
            ) from None


async def unless_gone(request: Request, work: Coroutine[Any, Any, Scored]) -> Scored | None:
    """The scores, or None when the client has gone: then nobody's time is spent on it.

    A client that gives up after its timeout asks again; without this, its first request
    would still be scored before the second.
    """
    scoring = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((scoring, leaving), return_when=asyncio.FIRST_COMPLETED)
        return scoring.result() if scoring.done() else None
    finally:
        scoring.cancel()
        leaving.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
