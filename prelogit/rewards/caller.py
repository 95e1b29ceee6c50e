"""POSTs of JSON to a service of others: patient with silence, strict with answers.

Neither user, password, key nor query of an address stands in any error.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_exponential, wait_random

from prelogit.core.errors import RewardAnswerError, RewardUnavailableError
from prelogit.egress.public_only import PrivateAddressError, PublicOnly
from prelogit.egress.retry_after import retry_after
from prelogit.rewards.address import Address
from prelogit.rewards.answers import NONSENSE
from prelogit.rewards.connection import SharedClient
from prelogit.rewards.documents import Document, TooLongError, is_json, json_of, whole
from prelogit.rewards.refusals import broken, cure, failed_with, reason

log = logging.getLogger("prelogit.rewards")
TRY_AGAIN = frozenset({429, 502, 503, 504})
LONGEST_DETAIL = 500
FRESH = {"cache-control": "no-cache"}
LARGEST_ANSWER = 64 * 1024 * 1024  # bytes; a server that never ends must not fill the memory

ANEW: ContextVar[bool] = ContextVar("anew", default=False)
"""Whether services are told to read everything again, whatever scores they remember."""


class Patience(NamedTuple):
    """How long a service is waited for.

    timeout_seconds: of one request. patience_seconds: how long a service that is down, slow or
    overloaded is asked again; the waits between grow from the first to the longest, and are
    longer where the service asks for it (Retry-After).
    """

    timeout_seconds: float = 60.0
    patience_seconds: float = 300.0
    first_wait_seconds: float = 0.2
    longest_wait_seconds: float = 10.0


class _SilentError(Exception):
    """The service did not answer this time. ``after``: seconds that it asked to wait."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class RefusedError(RewardAnswerError):
    """The service refused a request. ``status``: its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Caller:
    """Posts to one place of a service.

    Args:   path: behind the address, with its slash. who: the service in the errors ("the reward
            service"). cure: what to do when it is silent. answer: what it should answer with.
            busy: statuses that mean "later". key: asked for the bearer's key when a connection
            is opened; None: none is sent. public_only: never connect to a private address.
            headers: asked at each request for what is sent beside it.
    """

    def __init__(
        self,
        address: Address,
        path: str,
        patience: Patience,
        *,
        who: str,
        cure: str,
        answer: str,
        busy: frozenset[int] = TRY_AGAIN,
        key: Callable[[], str | None] = lambda: None,
        public_only: bool = False,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._headers = headers
        self._address = address
        self._public_only = public_only
        self._path = path
        self._patience = patience
        self._who = f"{who} at {address.shown}"
        self._cure = cure
        self._answer = answer
        self._busy = busy
        self._key = key
        self._backoff = wait_exponential(
            multiplier=patience.first_wait_seconds, max=patience.longest_wait_seconds
        ) + wait_random(0, patience.first_wait_seconds)
        self._certificates: ssl.SSLContext | None = None
        self._silent = False  # and that was logged
        self.shared = SharedClient(self._open)

    async def post(self, client: httpx.AsyncClient, body: bytes) -> dict[str, Any]:
        """The JSON object that is answered to ``body``; ``client`` is one of ``shared``.

        Raises: RewardUnavailableError: silent for longer than the patience.
                RewardAnswerError: refused, or no JSON object.
        """
        document, kind = await self._post(client, body)
        if not isinstance(document, dict):
            raise self._strange(document, kind)
        return document

    async def post_any(self, client: httpx.AsyncClient, body: bytes) -> Document:
        """As ``post``, for services that also answer with a list."""
        document, kind = await self._post(client, body)
        if document is None:
            raise self._strange(document, kind)
        return document

    async def _post(self, client: httpx.AsyncClient, body: bytes) -> tuple[Document | None, str]:
        seconds, tries = self._patience.patience_seconds, 0
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(_SilentError),
                stop=stop_after_delay(seconds),
                wait=self._wait,
                before_sleep=self._waits,
                reraise=True,
            ):
                tries += 1
                with attempt:
                    answered = await self._ask(client, body)
        except _SilentError as silent:
            # A single request may take longer than the patience.
            told = f" within {seconds:g} s of asking" if tries > 1 else ""
            raise RewardUnavailableError(
                f"{self._who} did not answer{told} ({silent}): {self._cure}"
            ) from None
        if self._silent:
            log.info("%s answers again", self._who)
            self._silent = False
        return answered

    def _waits(self, state: RetryCallState) -> None:
        """Told once an outage, whoever meets it: a search that waits looks like one that is stuck."""
        if not self._silent and state.outcome is not None:
            log.warning(
                "%s does not answer (%s): asked again for %g s",
                *(self._who, state.outcome.exception(), self._patience.patience_seconds),
            )
            self._silent = True

    def _wait(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome is not None else None
        asked = failure.after if isinstance(failure, _SilentError) else 0.0
        left = self._patience.patience_seconds - (state.seconds_since_start or 0.0)
        usual = min(self._backoff(state), self._patience.longest_wait_seconds)
        return max(usual, min(asked, left))

    async def _ask(self, client: httpx.AsyncClient, body: bytes) -> tuple[Document | None, str]:
        """One request. The limit is on the whole of it: httpx's own is on each silence."""
        seconds = self._patience.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                async with client.stream(
                    "POST",
                    f"{self._address.url}{self._path}",
                    content=body,
                    headers={**self._headers(), **(FRESH if ANEW.get() else {})},
                ) as streamed:
                    answer = await whole(streamed, LARGEST_ANSWER)
        except httpx.ConnectTimeout as error:
            raise _SilentError(broken(error)) from None
        except (TimeoutError, httpx.TimeoutException):
            raise _SilentError(
                f"no answer within {seconds:g} s, the limit of one request: timeout_seconds, "
                "--timeout-seconds or PRELOGIT_REWARD_TIMEOUT_SECONDS raises it"
            ) from None
        except PrivateAddressError:
            raise RewardAnswerError(
                f"{self._who} is on a private network, which this installation allows only where "
                "PRELOGIT_REWARD_URLS names the server"
            ) from None
        except TooLongError:
            raise RewardAnswerError(
                f"the answer of {self._who} is longer than {LARGEST_ANSWER >> 20} MiB: check that the URL "
                "is that of a reward"
            ) from None
        except httpx.TransportError as error:
            raise _SilentError(broken(error)) from None
        except httpx.HTTPError as error:
            raise RewardAnswerError(
                f"the answer of {self._who} cannot be read ({type(error).__name__})"
            ) from None
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> tuple[Document | None, str]:
        """What a good answer holds and its content type, or the error that its status means."""
        kind = answer.headers.get("content-type", "no content type")
        document = json_of(answer)
        status = failed_with(answer, document)
        if status is None:
            return document, kind
        detail = self._without_secrets(reason(answer, document))[:LONGEST_DETAIL]
        nonsense = isinstance(document, dict) and document.get("type") == NONSENSE
        if status in self._busy and not nonsense:
            told = f"status {status}, {detail}" if detail else f"status {status}"
            raise _SilentError(told, retry_after(answer))
        raise RefusedError(
            f"{self._who} refused with status {answer.status_code}: "
            f"{detail or 'it does not say why; see its log'}{cure(answer)}",
            status,
        )

    def _strange(self, document: Document | None, kind: str) -> RewardAnswerError:
        came = "a JSON list" if document is not None else repr(kind[:80])
        if document is None and is_json(kind):
            came = "JSON that is cut off or holds no object"
        return RewardAnswerError(f"{self._who} answered with {came} instead of {self._answer}")

    def _without_secrets(self, text: str) -> str:
        """Some services repeat the key that they refuse."""
        login = self._address.login
        for secret in (self._key(), login[1] if login else None):
            text = text.replace(secret, "…") if secret else text
        return text

    def _open(self) -> httpx.AsyncClient:
        address, key = self._address, self._key()
        if address.url.startswith("https:") and self._certificates is None:
            self._certificates = httpx.create_ssl_context()  # slow to read: once is enough
        headers = {"content-type": "application/json", "accept": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        verify = self._certificates if self._certificates is not None else False
        return httpx.AsyncClient(
            transport=PublicOnly(verify) if self._public_only else None,
            verify=verify,
            trust_env=not address.loopback,  # a proxy cannot reach this machine's loopback
            auth=None if key else address.login,
            headers=headers,
            timeout=httpx.Timeout(self._patience.timeout_seconds, connect=5.0, pool=None),
        )
