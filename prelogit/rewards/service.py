"""The client of a reward service (``POST /v1/score``): patient with silence, strict with answers."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from typing import Any

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_exponential, wait_random

from prelogit.core.errors import RewardAnswerError, RewardUnavailableError
from prelogit.core.records import ModelRef
from prelogit.rewards.address import parse_address
from prelogit.rewards.answers import NONSENSE, finite
from prelogit.rewards.connection import SharedClient
from prelogit.rewards.protocol import Scores, check
from prelogit.rewards.requests import bodies

TRY_AGAIN = frozenset({429, 502, 503, 504})
LONGEST_DETAIL = 500


class _SilentError(Exception):
    """The service did not answer this time. ``after``: seconds that it asked to wait."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class ServiceReward:
    """A reward of a reward service as a ``Score``.

    A call is sent in parts of at most ``items_per_request`` responses and about
    ``bytes_per_request`` bytes, a few at once; the order is kept. Connections are shared by
    calls that overlap and closed after the last; ``async with`` keeps them open between calls.

    Args:   url: http(s)://host:port, with user:password@ and #name where needed.
            name: which of the hosted rewards; None means the only one.
            timeout_seconds: of one request. patience_seconds: how long a service that is
            down, slow or overloaded is asked again.
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
    ) -> None:
        self._address = parse_address(url)
        self.name = name if name is not None else self._address.reward
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._items_per_request = items_per_request
        self._bytes_per_request = bytes_per_request
        self._requests_at_once = requests_at_once
        self._longest_wait_seconds = longest_wait_seconds
        self._backoff = wait_exponential(
            multiplier=first_wait_seconds, max=longest_wait_seconds
        ) + wait_random(0, first_wait_seconds)
        self._certificates: ssl.SSLContext | None = None
        self._shared = SharedClient(self._open)

    def __repr__(self) -> str:
        return f"ServiceReward({self._address.shown!r}, {self.name!r})"

    async def __aenter__(self) -> ServiceReward:
        await self._shared.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._shared.leave()

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
        async with self._shared.held() as client:

            async def ask(body: bytes) -> dict[str, Any]:
                async with places:
                    return await self._ask_patiently(client, body)

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(ask(part.body)) for part in parts]
            except BaseExceptionGroup as failed:  # one reason is enough
                raise failed.exceptions[0] from None
        answers = [task.result() for task in tasks]
        return self._scores(answers, [part.responses for part in parts], started)

    def _scores(self, answers: list[dict[str, Any]], counts: list[int], started: float) -> Scores:
        rewards: list[float] = []
        tokens = 0
        for answer, count in zip(answers, counts, strict=True):
            rewards += finite(answer.get("scores"), count, first=len(rewards))
            said = answer.get("tokens")
            tokens += said if type(said) is int and said >= 0 else 0
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
        )

    async def _ask_patiently(self, client: httpx.AsyncClient, body: bytes) -> dict[str, Any]:
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(_SilentError),
                stop=stop_after_delay(self._patience_seconds),
                wait=self._wait,
                reraise=True,
            ):
                with attempt:
                    return await self._ask(client, body)
        except _SilentError as silent:
            raise RewardUnavailableError(
                f"the reward service at {self._address.shown} did not answer within "
                f"{self._patience_seconds:g} s of asking ({silent}): start it with `prelogit up` or "
                "`python -m reward_service`, or correct PRELOGIT_REWARD_URL"
            ) from None
        raise AssertionError("tenacity returns or raises")

    def _wait(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome is not None else None
        asked = failure.after if isinstance(failure, _SilentError) else 0.0
        return min(max(self._backoff(state), asked), self._longest_wait_seconds)

    async def _ask(self, client: httpx.AsyncClient, body: bytes) -> dict[str, Any]:
        """One request. The limit is on the whole of it: httpx's own is on each silence."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await client.post(f"{self._address.url}/v1/score", content=body)
        except (TimeoutError, httpx.TimeoutException):
            raise _SilentError(f"no answer within {self._timeout_seconds:g} s") from None
        except httpx.TransportError as error:
            raise _SilentError(_why(error)) from None
        except httpx.HTTPError as error:
            raise RewardAnswerError(
                f"the answer of the reward service at {self._address.shown} cannot be read "
                f"({type(error).__name__})"
            ) from None
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        """The JSON object of a good answer, or the error that its status means."""
        document = _json_object(answer)
        if answer.is_success:
            if document is None:
                kind = answer.headers.get("content-type", "no content type")
                raise RewardAnswerError(
                    f"the reward service at {self._address.shown} answered with {kind!r} instead of "
                    "a JSON object with scores: check that the URL is a reward service's"
                )
            return document
        detail = str((document or {}).get("detail", ""))[:LONGEST_DETAIL]
        if answer.status_code in TRY_AGAIN and (document or {}).get("type") != NONSENSE:
            reason = f"status {answer.status_code}" + (f", {detail}" if detail else "")
            raise _SilentError(reason, _retry_after(answer))
        raise RewardAnswerError(
            f"the reward service at {self._address.shown} refused with status "
            f"{answer.status_code}: {detail or 'it does not say why; see its log'}"
        )

    def _open(self) -> httpx.AsyncClient:
        address = self._address
        if address.url.startswith("https:") and self._certificates is None:
            self._certificates = httpx.create_ssl_context()  # slow to read: once is enough
        return httpx.AsyncClient(
            verify=self._certificates if self._certificates is not None else False,
            trust_env=not address.loopback,  # a proxy cannot reach this machine's loopback
            auth=address.login,
            headers={"content-type": "application/json", "accept": "application/json"},
            timeout=httpx.Timeout(self._timeout_seconds, connect=5.0, pool=None),
        )


def _json_object(answer: httpx.Response) -> dict[str, Any] | None:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind == "application/json" or (kind.startswith("application/") and "+json" in kind)):
        return None
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return None
    return document if isinstance(document, dict) else None


def _retry_after(answer: httpx.Response) -> float:
    """Seconds of the Retry-After header; its form with a date is not waited for."""
    said = answer.headers.get("retry-after", "")
    return float(said) if said.isascii() and said.isdigit() else 0.0


def _why(error: httpx.TransportError) -> str:
    """A transport error in words; its own text could carry the URL."""
    if isinstance(error, httpx.ConnectError):
        return "it cannot be connected to"
    return f"the connection broke ({type(error).__name__})"
