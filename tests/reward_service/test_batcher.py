"""Requests are scored together, in order, and none takes another with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.errors import RewardAnswerError, RewardUnavailableError
from prelogit.rewards.hosted.reward import HostedReward, Scored
from reward_service.batcher import Batcher

Score = Callable[[Sequence[Any], Sequence[str]], Scored]
FOREVER = 600.0


@asynccontextmanager
async def batching(
    score: Score,
    *,
    window: float = 0.0,
    items: int = 100,
    characters: int = 100_000,
    waiting: int = 10_000,
) -> AsyncIterator[Batcher]:
    hosted = HostedReward("test", "function", "", None, None, None, score)
    with ThreadPoolExecutor(1) as thread:
        batcher = Batcher(
            hosted,
            thread,
            window_seconds=window,
            batch_items=items,
            batch_characters=characters,
            waiting_items=waiting,
        )
        running = asyncio.create_task(batcher.run())
        try:
            yield batcher
        finally:
            running.cancel()


def ask(batcher: Batcher, *responses: str) -> asyncio.Task[Scored]:
    asked = [[{"role": "user", "content": f"to {response}"}] for response in responses]
    return asyncio.create_task(batcher.submit(asked, responses))


class Numbers:
    """Scores a response with the number that it is, and remembers what was scored together."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, conversations: Sequence[Any], responses: Sequence[str]) -> Scored:
        self.calls.append(list(responses))
        for conversation, response in zip(conversations, responses, strict=True):
            assert conversation[0]["content"] == f"to {response}"
            if response == "bad":
                raise ValueError("bad")
        scores = [float(response) for response in responses]
        return Scored(scores, [len(r) for r in responses], [r == "7" for r in responses])


async def test_requests_that_arrive_together_are_one_batch() -> None:
    numbers = Numbers()
    async with batching(numbers, window=FOREVER, items=6) as batcher:
        answers = await asyncio.gather(
            ask(batcher, "1", "2"), ask(batcher, "3"), ask(batcher, "7", "12", "6")
        )
    assert numbers.calls == [["1", "2", "3", "7", "12", "6"]]
    assert [answer.scores for answer in answers] == [[1.0, 2.0], [3.0], [7.0, 12.0, 6.0]]
    assert [answer.tokens for answer in answers] == [[1, 1], [1], [1, 2, 1]]
    assert answers[2].truncated == [True, False, False]


async def test_a_lone_request_is_scored_when_the_window_is_over() -> None:
    numbers = Numbers()
    async with batching(numbers, window=0.01) as batcher:
        assert (await ask(batcher, "1")).scores == [1.0]
        assert (await ask(batcher, "2")).scores == [2.0]
    assert numbers.calls == [["1"], ["2"]]


async def test_what_comes_while_the_model_is_busy_is_one_batch() -> None:
    numbers, release = Numbers(), threading.Event()
    started = threading.Event()

    def slow(conversations: Sequence[Any], responses: Sequence[str]) -> Scored:
        started.set()
        assert release.wait(60)
        return numbers(conversations, responses)

    async with batching(slow) as batcher:
        first = ask(batcher, "0")
        assert await asyncio.to_thread(started.wait, 60)
        rest = [ask(batcher, str(place)) for place in range(1, 20)]
        await asyncio.sleep(0)
        release.set()
        answers = await asyncio.gather(first, *rest)
    assert [answer.scores for answer in answers] == [[float(place)] for place in range(20)]
    assert [len(call) for call in numbers.calls] == [1, 19]


async def test_a_batch_holds_no_more_than_it_may_unless_one_request_does() -> None:
    numbers = Numbers()
    async with batching(numbers, window=0.0, items=3) as batcher:
        big = [str(place) for place in range(5)]
        answers = await asyncio.gather(
            ask(batcher, "1", "2"), ask(batcher, "3", "4"), ask(batcher, *big), ask(batcher, "5")
        )
    assert [len(answer.scores) for answer in answers] == [2, 2, 5, 1]
    assert all(len(call) <= 3 or call == big for call in numbers.calls)


async def test_a_batch_holds_no_more_text_than_it_may_unless_one_request_does() -> None:
    numbers = Numbers()
    async with batching(numbers, window=FOREVER, characters=40) as batcher:
        # "to 1" and "1" are 5 characters; 7 digits and what they answer are 17.
        asked = ("1",), ("2222222",), ("3333333",), ("4",), ("5" * 30,), ("6",)
        answers = await asyncio.gather(
            *(ask(batcher, *each) for each in asked), ask(batcher, "7" * 20)
        )
    assert [answer.scores for answer in answers[:2]] == [[1.0], [2222222.0]]
    assert numbers.calls == [["1", "2222222", "3333333"], ["4"], ["5" * 30], ["6"], ["7" * 20]]


async def test_a_conversation_that_repeats_in_a_request_is_text_once() -> None:
    calls: list[list[str]] = []

    def score(conversations: Sequence[Any], responses: Sequence[str]) -> Scored:
        calls.append(list(responses))
        return Scored([0.0] * len(responses), [0] * len(responses))

    def long() -> list[dict[str, str]]:
        return [{"role": "user", "content": "x" * 30}]

    async with batching(score, characters=60) as batcher:
        await asyncio.gather(
            batcher.submit([long() for _ in range(9)], ["1"] * 9), batcher.submit([long()], ["2"])
        )
    assert calls == [["1"] * 9, ["2"]]  # 39 characters and 31


async def test_a_failing_request_takes_no_other_with_it() -> None:
    numbers = Numbers()
    async with batching(numbers, window=FOREVER, items=4) as batcher:
        first, bad, last = ask(batcher, "1", "2"), ask(batcher, "bad"), ask(batcher, "3")
        with pytest.raises(ValueError, match="bad"):
            await bad
        assert (await first).scores == [1.0, 2.0]
        assert (await last).scores == [3.0]
        again = [ask(batcher, *"4567")]
        assert (await again[0]).scores == [4.0, 5.0, 6.0, 7.0]  # and the batcher lives on


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
async def test_a_score_that_is_not_finite_fails_its_request_alone(bad: str) -> None:
    numbers = Numbers()
    async with batching(numbers, window=FOREVER, items=4) as batcher:
        good, broken = ask(batcher, "1", "2"), ask(batcher, "3", bad)
        with pytest.raises(RewardAnswerError, match=f"response 1 with {bad}"):
            await broken
        assert (await good).scores == [1.0, 2.0]
    assert len(numbers.calls) == 1


async def test_another_count_for_the_batch_is_asked_for_one_by_one() -> None:
    def forgetful(conversations: Sequence[Any], responses: Sequence[str]) -> Scored:
        kept = [response for response in responses if response != "lost"]
        return Scored([float(response) for response in kept], [0] * len(kept))

    async with batching(forgetful, window=FOREVER, items=4) as batcher:
        good, lost, other = ask(batcher, "1", "2"), ask(batcher, "lost"), ask(batcher, "3")
        with pytest.raises(RewardAnswerError, match="0 scores for 1 responses"):
            await lost
        assert (await good).scores == [1.0, 2.0]
        assert (await other).scores == [3.0]


async def test_a_request_that_was_given_up_is_not_scored() -> None:
    numbers = Numbers()
    async with batching(numbers, window=FOREVER, items=3) as batcher:
        gone = ask(batcher, "9")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert (await ask(batcher, "1", "2")).scores == [1.0, 2.0]
    assert numbers.calls == [["1", "2"]]


async def test_too_much_waiting_is_turned_away() -> None:
    numbers = Numbers()
    async with batching(numbers, window=FOREVER, items=4, waiting=3) as batcher:
        first = ask(batcher, "1", "2")
        await asyncio.sleep(0)
        with pytest.raises(RewardUnavailableError, match="2 responses already wait"):
            await ask(batcher, "3", "4")
        first.cancel()


@given(st.lists(st.lists(st.integers(0, 999), min_size=1, max_size=6), max_size=25), st.data())
async def test_everyone_gets_their_own_scores(asked: list[list[int]], data: st.DataObject) -> None:
    numbers = Numbers()
    items, characters = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 60))
    async with batching(numbers, window=0.0, items=items, characters=characters) as batcher:
        answers = await asyncio.gather(*(ask(batcher, *map(str, each)) for each in asked))
    assert [answer.scores for answer in answers] == [[float(n) for n in each] for each in asked]
    assert sum(map(len, numbers.calls)) == sum(map(len, asked))
