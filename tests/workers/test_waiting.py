from __future__ import annotations

import asyncio

import pytest
import torch

from prelogit.core.errors import RewardUnavailableError
from prelogit.core.records import ModelRef
from prelogit.rewards.protocol import Scores
from workers.waiting import Unwanted, every_second, while_wanted

ANSWER = Scores(torch.tensor([1.0], dtype=torch.float64), ModelRef(name="r"), 0, 1, 0.0)
CALL: tuple[list[list[dict[str, str]]], list[str]] = ([[{"role": "user", "content": "?"}]], ["!"])


def answering(after: asyncio.Event) -> object:
    async def score(conversations: list[list[dict[str, str]]], responses: list[str]) -> Scores:
        await after.wait()
        return ANSWER

    return score


async def test_an_answer_passes() -> None:
    there = asyncio.Event()
    there.set()
    score = while_wanted(answering(there), lambda: True, grace_seconds=0)  # type: ignore[arg-type]
    assert await score(*CALL) is ANSWER


async def test_an_error_passes() -> None:
    async def down(conversations: list[list[dict[str, str]]], responses: list[str]) -> Scores:
        raise RewardUnavailableError("it is down")

    with pytest.raises(RewardUnavailableError, match="it is down"):
        await while_wanted(down, lambda: True, grace_seconds=0)(*CALL)


async def test_nobody_waits_for_an_answer_that_is_not_wanted() -> None:
    never = asyncio.Event()
    wanted = iter([True, True])
    score = while_wanted(
        answering(never),  # type: ignore[arg-type]
        lambda: next(wanted, False),
        grace_seconds=0.01,
    )
    with pytest.raises(Unwanted):
        await score(*CALL)


async def test_an_answer_that_comes_within_the_grace_counts() -> None:
    soon = asyncio.Event()
    score = while_wanted(answering(soon), lambda: False, grace_seconds=60)  # type: ignore[arg-type]
    asking = asyncio.ensure_future(score(*CALL))
    await asyncio.sleep(0)
    soon.set()
    assert await asking is ANSWER


def test_the_store_is_not_asked_at_every_look() -> None:
    looks = []
    seen = every_second(lambda: bool(looks.append(1)) or True)
    assert [seen() for _ in range(50)] == [True] * 50
    assert len(looks) < 50
