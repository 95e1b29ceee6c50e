"""The client of a reward service (``POST /v1/score``): patient with silence, strict with answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from prelogit.core.errors import RewardAnswerError
from prelogit.core.records import ModelRef
from prelogit.rewards.address import parse_address
from prelogit.rewards.answers import finite
from prelogit.rewards.caller import Caller, Patience
from prelogit.rewards.listing import told_bounds
from prelogit.rewards.protocol import Scores, check
from prelogit.rewards.requests import bodies


class ServiceReward:
    """A reward of a reward service as a ``Score``.

    A call is sent in parts of at most ``items_per_request`` responses and about
    ``bytes_per_request`` bytes, a few at once; the order is kept. Connections are shared by
    calls that overlap and closed after the last; ``async with`` keeps them open between calls.

    Args:   url: http(s)://host:port, with user:password@ and #name where needed.
            name: which of the hosted rewards; None means the only one.
            timeout_seconds: of one request. patience_seconds: how long a service that is
            down, slow or overloaded is asked again. key: reads a bearer key; None: none is sent.
            public_only: never connect to a private address. headers: asked at each request for
            what is sent beside it.
    Raises: InputError: the URL cannot be one.
    """

    def __init__(
        self,
        url: str,
        name: str | None = None,
        *,
        timeout_seconds: float = 60.0,
        patience_seconds: float = 300.0,
        items_per_request: int = 256,
        bytes_per_request: int = 2 * 1024 * 1024,
        requests_at_once: int = 4,
        first_wait_seconds: float = 0.2,
        longest_wait_seconds: float = 10.0,
        key: Callable[[], str | None] = lambda: None,
        public_only: bool = False,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._address = parse_address(url)
        self.name = name if name is not None else self._address.reward
        self._items_per_request = items_per_request
        self._bytes_per_request = bytes_per_request
        self._requests_at_once = requests_at_once
        self._caller = Caller(
            self._address,
            "/v1/score",
            Patience(timeout_seconds, patience_seconds, first_wait_seconds, longest_wait_seconds),
            who="the reward service",
            cure="start it (`prelogit up`, `python -m reward_service`), correct its URL "
            "(PRELOGIT_REWARD_URL), or give it more patience",
            answer="a JSON object with scores: check that the URL is a reward service's",
            key=key,
            public_only=public_only,
            headers=headers,
        )

    def __repr__(self) -> str:
        return f"ServiceReward({self._address.shown!r}, {self.name!r})"

    async def __aenter__(self) -> ServiceReward:
        await self._caller.shared.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._caller.shared.leave()

    async def __call__(
        self, conversations: list[list[dict[str, str]]], responses: list[str]
    ) -> Scores:
        """Scores, as ``protocol.Score`` promises; ``calls`` counts the requests."""
        started = time.perf_counter()
        parts = list(
            bodies(
                self.name,
                conversations,
                responses,
                items=self._items_per_request,
                size=self._bytes_per_request,
            )
        )
        places = asyncio.Semaphore(self._requests_at_once)
        async with self._caller.shared.held() as client:

            async def ask(body: bytes) -> dict[str, Any]:
                async with places:
                    return await self._caller.post(client, body)

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(ask(part.body)) for part in parts]
            except BaseExceptionGroup as failed:  # one reason is enough
                raise failed.exceptions[0] from None
        answers = [task.result() for task in tasks]
        return self._scores(answers, [part.responses for part in parts], started)

    async def told_bounds(self) -> tuple[float, float] | None:
        """Lowest and highest reward, as the service lists them; None where it does not."""
        async with self._caller.shared.held() as client:
            return await told_bounds(client, self._address.url, self.name)

    def _scores(self, answers: list[dict[str, Any]], counts: list[int], started: float) -> Scores:
        rewards: list[float] = []
        cut: list[bool] | None = []
        tokens = 0
        for answer, count in zip(answers, counts, strict=True):
            try:
                rewards += finite(answer.get("scores"), count, first=len(rewards))
            except RewardAnswerError as error:
                raise RewardAnswerError(
                    f"the reward service at {self._address.shown}: {error}"
                ) from None
            said = answer.get("tokens")
            tokens += said if type(said) is int and said >= 0 else 0
            cut = joined(cut, answer.get("truncated"), count)
        marks = {
            mark if isinstance(mark := answer.get("fingerprint"), str) else None
            for answer in answers
        }
        if len(marks) > 1:
            raise RewardAnswerError(
                f"the reward service at {self._address.shown} answered with two different models in "
                "one call: let one model serve all requests"
            )
        said_name = answers[0].get("reward") if answers else None
        name = self.name or (said_name if isinstance(said_name, str) else None) or "default"
        return Scores(
            rewards=check(rewards, sum(counts)),
            reward=ModelRef(name=name, fingerprint=marks.pop() if marks else None),
            tokens=tokens,
            calls=len(counts),
            seconds=time.perf_counter() - started,
            truncated=None if cut is None else tuple(cut),
        )


def joined(cut: list[bool] | None, said: object, count: int) -> list[bool] | None:
    """``cut`` and what one more answer says of its responses; None once any does not say it."""
    if cut is None or not isinstance(said, list) or len(said) != count:
        return None
    if not all(isinstance(one, bool) for one in said):
        return None
    return [*cut, *said]
