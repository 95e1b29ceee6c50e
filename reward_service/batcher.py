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

from prometheus_client import CollectorRegistry

from prelogit.core.errors import InputError, RewardAnswerError, RewardUnavailableError
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored, Whole
from reward_service.memory import score_anew
from reward_service.metrics import Metrics, RewardFigures


class _Waiting(NamedTuple):
    """A request in the queue. ``since``: monotonic seconds.

    ``conversations``: None where the responses are whole items. ``anew``: whether scores that are
    remembered do not count.
    """

    conversations: Sequence[Conversation] | None
    responses: Sequence[Whole]
    answer: asyncio.Future[Scored]
    since: float
    characters: int
    anew: bool


class Batcher:
    """One hosted reward and the queue before it; ``run`` must be running.

    An idle model waits ``window_seconds`` from the first request for others; one that was
    busy takes at once what has come meanwhile. A batch holds at most ``batch_items``
    responses and ``batch_characters`` of text, or one larger request: what comes
    later is not kept waiting by many long ones, and who hangs up meanwhile is not scored.
    """

    def __init__(
        self,
        hosted: HostedReward,
        thread: Executor,
        *,
        window_seconds: float,
        batch_items: int,
        batch_characters: int,
        waiting_items: int,
        figures: RewardFigures | None = None,
    ) -> None:
        self.hosted = hosted
        self._figures = figures or Metrics(CollectorRegistry()).of(hosted.name)
        self._thread = thread
        self._window_seconds = window_seconds
        self._batch_items = batch_items
        self._batch_characters = batch_characters
        self._waiting_items = waiting_items
        self._queue: deque[_Waiting] = deque()
        self._queued = 0  # responses in the queue
        self._queued_characters = 0
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Responses in the queue."""
        return self._queued

    async def submit(
        self,
        conversations: Sequence[Conversation] | None,
        responses: Sequence[Whole],
        *,
        anew: bool = False,
    ) -> Scored:
        """Finite scores of one request, in its order. Cancelling takes it out of the queue.

        Args:   conversations: None where the responses are whole items, which the reward must
                be able to score. anew: read all of it again, whatever is remembered.
        Raises: RewardAnswerError: a score is not finite, or the reward failed.
                RewardUnavailableError: too much is waiting already.
        """
        if self._queue and self._queued + len(responses) > self._waiting_items:
            self._figures.refused.inc()
            raise RewardUnavailableError(
                f"{self._queued} responses already wait for the reward {self.hosted.name!r}: "
                "try again later, or raise PRELOGIT_REWARD_WAITING_ITEMS"
            )
        answer: asyncio.Future[Scored] = asyncio.get_running_loop().create_future()
        characters = _characters(conversations, responses)
        now = time.monotonic()
        self._queue.append(_Waiting(conversations, responses, answer, now, characters, anew))
        self._queued += len(responses)
        self._queued_characters += characters
        self._arrived.set()
        return await answer

    async def run(self) -> None:
        """Scores whatever is submitted, until cancelled."""
        while True:
            batch = await self._collect()
            kinds: dict[tuple[bool, bool], list[_Waiting]] = {}
            for waiting in batch:
                kinds.setdefault((waiting.conversations is None, waiting.anew), []).append(waiting)
            for part in kinds.values():
                if self.hosted.relative:
                    for waiting in part:
                        await self._score([waiting])
                else:
                    await self._score(part)

    async def _collect(self) -> list[_Waiting]:
        """The next batch; empty when all who waited have left."""
        while not self._queue:
            await self._next_arrival()
        rest = self._queue[0].since + self._window_seconds - time.monotonic()
        try:
            async with asyncio.timeout(max(rest, 0.0)):
                while not self._is_full():
                    await self._next_arrival()
        except TimeoutError:
            pass
        batch: list[_Waiting] = []
        items, characters = self._batch_items, self._batch_characters
        while self._queue:
            waiting = self._queue[0]
            fits = len(waiting.responses) <= items and waiting.characters <= characters
            if batch and not fits:
                break
            self._queue.popleft()
            self._queued -= len(waiting.responses)
            self._queued_characters -= waiting.characters
            if not waiting.answer.done():
                batch.append(waiting)
                items -= len(waiting.responses)
                characters -= waiting.characters
        return batch

    def _is_full(self) -> bool:
        """What waits is a batch."""
        return (
            self._queued >= self._batch_items or self._queued_characters >= self._batch_characters
        )

    async def _next_arrival(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    async def _score(self, batch: Sequence[_Waiting]) -> None:
        """Scores a batch; when it fails as a whole, its requests are scored one by one."""
        responses = [each for waiting in batch for each in waiting.responses]
        try:
            work = self._work(batch)
            with self._figures.batch_seconds.time():
                scored = await asyncio.get_running_loop().run_in_executor(
                    self._thread, work, responses
                )
            _refuse_another_count(self.hosted.name, scored, len(responses))
        except Exception as error:  # noqa: BLE001  # whatever a hosted model raises is that request's answer
            if len(batch) == 1:
                self._fail(batch[0], error)
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
            whole = Scored(scored.scores[part], scored.tokens[part], cut, scored.long[part])
            self._answer(waiting, whole)

    def _work(self, batch: Sequence[_Waiting]) -> Callable[[Any], Scored]:
        """What scores the responses of a batch, all of whose requests are of one form."""
        if batch[0].conversations is not None:
            before = [each for waiting in batch for each in waiting.conversations or ()]
            if batch[0].anew:
                return partial(score_anew, self.hosted.score, before)
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
                self._fail(
                    waiting,
                    RewardAnswerError(
                        f"the reward {self.hosted.name!r} scored response {place} with {score}, "
                        "not with a finite number"
                    ),
                )
                return
        self._figures.items.inc(len(scored.scores))
        if not waiting.answer.done():
            waiting.answer.set_result(scored)

    def _fail(self, waiting: _Waiting, error: Exception) -> None:
        if not waiting.answer.done():
            self._figures.errors.inc()
            waiting.answer.set_exception(error)


def _characters(conversations: Sequence[Conversation] | None, responses: Sequence[Whole]) -> int:
    """Of a request's text, or token ids; a conversation that stands there again at once is read once."""
    total = sum(map(len, responses))
    last: Conversation | None = None
    for conversation in conversations or ():
        if conversation != last:
            total += sum(len(turn["content"]) for turn in conversation)
            last = conversation
    return total


def _refuse_another_count(name: str, scored: Scored, count: int) -> None:
    if len(scored.scores) != count:
        raise RewardAnswerError(
            f"the reward {name!r} gave {len(scored.scores)} scores for {count} responses"
        )
