"""Requests that arrive together are scored together, and none takes another with it."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple

from prelogit.core.errors import InputError, RewardAnswerError, RewardUnavailableError
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored, Whole


class _Waiting(NamedTuple):
    """A request in the queue. ``since``: monotonic seconds.

    ``conversations``: None where the responses are whole items.
    """

    conversations: Sequence[Conversation] | None
    responses: Sequence[Whole]
    answer: asyncio.Future[Scored]
    since: float


class Batcher:
    """One hosted reward and the queue before it; ``run`` must be running.

    An idle model waits ``window_seconds`` from the first request for others; one that was
    busy takes at once what has come meanwhile. A batch holds at most ``batch_items``
    responses, or one larger request.
    """

    def __init__(
        self,
        hosted: HostedReward,
        thread: Executor,
        *,
        window_seconds: float,
        batch_items: int,
        waiting_items: int,
    ) -> None:
        self.hosted = hosted
        self._thread = thread
        self._window_seconds = window_seconds
        self._batch_items = batch_items
        self._waiting_items = waiting_items
        self._queue: deque[_Waiting] = deque()
        self._queued = 0  # responses in the queue
        self._arrived = asyncio.Event()

    async def submit(
        self, conversations: Sequence[Conversation] | None, responses: Sequence[Whole]
    ) -> Scored:
        """Finite scores of one request, in its order. Cancelling takes it out of the queue.

        Args:   conversations: None where the responses are whole items, which the reward must
                be able to score.
        Raises: RewardAnswerError: a score is not finite, or the reward failed.
                RewardUnavailableError: too much is waiting already.
        """
        if self._queue and self._queued + len(responses) > self._waiting_items:
            raise RewardUnavailableError(
                f"{self._queued} responses already wait for the reward {self.hosted.name!r}: "
                "try again later, or raise PRELOGIT_REWARD_WAITING_ITEMS"
            )
        answer: asyncio.Future[Scored] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(conversations, responses, answer, time.monotonic()))
        self._queued += len(responses)
        self._arrived.set()
        return await answer

    async def run(self) -> None:
        """Scores whatever is submitted, until cancelled."""
        while True:
            batch = await self._collect()
            pairs = [each for each in batch if each.conversations is not None]
            texts = [each for each in batch if each.conversations is None]
            for part in (pairs, texts):
                if self.hosted.relative:
                    for waiting in part:
                        await self._score([waiting])
                elif part:
                    await self._score(part)

    async def _collect(self) -> list[_Waiting]:
        """The next batch; empty when all who waited have left."""
        while not self._queue:
            await self._next_arrival()
        rest = self._queue[0].since + self._window_seconds - time.monotonic()
        try:
            async with asyncio.timeout(max(rest, 0.0)):
                while self._queued < self._batch_items:
                    await self._next_arrival()
        except TimeoutError:
            pass
        batch: list[_Waiting] = []
        room = self._batch_items
        while self._queue and (not batch or len(self._queue[0].responses) <= room):
            waiting = self._queue.popleft()
            self._queued -= len(waiting.responses)
            if not waiting.answer.done():
                batch.append(waiting)
                room -= len(waiting.responses)
        return batch

    async def _next_arrival(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    async def _score(self, batch: Sequence[_Waiting]) -> None:
        """Scores a batch; when it fails as a whole, its requests are scored one by one."""
        responses = [each for waiting in batch for each in waiting.responses]
        try:
            scored = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._work(batch), responses
            )
            _refuse_another_count(self.hosted.name, scored, len(responses))
        except Exception as error:  # noqa: BLE001  # whatever a hosted model raises is that request's answer
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for waiting in batch:
                if not waiting.answer.done():
                    await self._score([waiting])
            return
        first = 0
        for waiting in batch:
            part = slice(first, first + len(waiting.responses))
            first = part.stop
            cut = scored.truncated[part] if scored.truncated is not None else None
            self._answer(waiting, Scored(scored.scores[part], scored.tokens[part], cut))

    def _work(self, batch: Sequence[_Waiting]) -> Callable[[Any], Scored]:
        """What scores the responses of a batch, all of whose requests are of one form."""
        if batch[0].conversations is not None:
            before = [each for waiting in batch for each in waiting.conversations or ()]
            return partial(self.hosted.score, before)
        if self.hosted.score_text is None:
            raise InputError(
                f"the reward {self.hosted.name!r} cannot score a whole text, only a response to a "
                "conversation: send messages or a pair"
            )
        return self.hosted.score_text

    def _answer(self, waiting: _Waiting, scored: Scored) -> None:
        for place, score in enumerate(scored.scores):
            if not math.isfinite(score):
                _fail(
                    waiting,
                    RewardAnswerError(
                        f"the reward {self.hosted.name!r} scored response {place} with {score}, "
                        "not with a finite number"
                    ),
                )
                return
        if not waiting.answer.done():
            waiting.answer.set_result(scored)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _refuse_another_count(name: str, scored: Scored, count: int) -> None:
    if len(scored.scores) != count:
        raise RewardAnswerError(
            f"the reward {name!r} gave {len(scored.scores)} scores for {count} responses"
        )
