"""Wait for a reward only as long as somebody wants the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from prelogit.rewards.protocol import Score, Scores

POLL_SECONDS = 0.2


class Unwanted(Exception):  # noqa: N818 - not an error: it ends a search that nobody wants
    """The search need not go on: its job was cancelled, its lease is lost, or the worker stops."""


def while_wanted(score: Score, wanted: Callable[[], bool], *, grace_seconds: float) -> Score:
    """The same reward, given up ``grace_seconds`` after ``wanted`` first says no.

    A reward service that is down is waited for, for minutes; without this, so is a cancel.
    Raises: Unwanted: given up.
    """

    async def scored(conversations: list[list[dict[str, str]]], responses: list[str]) -> Scores:
        asking = asyncio.ensure_future(score(conversations, responses))
        try:
            while wanted():
                done, _ = await asyncio.wait({asking}, timeout=POLL_SECONDS)
                if done:
                    return asking.result()
            await asyncio.wait({asking}, timeout=grace_seconds)
            if asking.done():
                return asking.result()
            raise Unwanted
        finally:
            asking.cancel()

    return scored


def every_second(look: Callable[[], bool]) -> Callable[[], bool]:
    """The store's answer, at most a second old; its silence changes nothing."""
    looked, answer = float("-inf"), False

    def seen() -> bool:
        nonlocal looked, answer
        if time.monotonic() - looked >= 1.0:
            looked = time.monotonic()
            try:
                answer = look()
            except SQLAlchemyError:
                return answer
        return answer

    return seen
