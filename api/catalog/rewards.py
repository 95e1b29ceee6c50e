"""The rewards that can be named in a job: what the reward service says it hosts."""

from __future__ import annotations

import threading
import time

import httpx
from pydantic import TypeAdapter, ValidationError

from prelogit.core.errors import RewardUnavailableError
from prelogit.wire.scores import RewardInfo

FRESH_SECONDS = 10.0
# A failure is remembered for a shorter time, so that a service that has just come up is seen.
FAILED_SECONDS = 2.0
CURE = "start it (`prelogit up`, or `python -P -m reward_service`), or correct PRELOGIT_REWARD_URL"

_listing = TypeAdapter(list[RewardInfo])


class RewardCatalog:
    """Asks the reward service for its list, and remembers the answer for some seconds."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._client = httpx.Client(base_url=url, timeout=timeout_seconds, trust_env=False)
        self._lock = threading.Lock()
        self._known: list[RewardInfo] | RewardUnavailableError = []
        self._until = 0.0

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def listing(self) -> list[RewardInfo]:
        """All hosted rewards.

        Raises: RewardUnavailableError: the service is down, slow, or answers something else.
        """
        # The lock makes requests that come at the same time share one question.
        with self._lock:
            if time.monotonic() >= self._until:
                self._known = self._ask()
                failed = isinstance(self._known, RewardUnavailableError)
                self._until = time.monotonic() + (FAILED_SECONDS if failed else FRESH_SECONDS)
            known = self._known
        if isinstance(known, RewardUnavailableError):
            raise RewardUnavailableError(str(known))
        return known

    def problem(self) -> str | None:
        """Why rewards cannot be computed now, None when they can."""
        try:
            known = self.listing()
            answer = self._client.get("/health/ready")
            faults = "" if answer.is_success else str(answer.json()["detail"])
        except RewardUnavailableError as error:
            return str(error)
        except httpx.HTTPError as error:
            return f"the reward service stopped answering ({type(error).__name__}): {CURE}"
        except (ValueError, KeyError, TypeError):
            faults = f"its health has status {answer.status_code}"
        if faults:
            return f"the reward service is not ready: {faults}"
        return None if known else "the reward service hosts no reward: set PRELOGIT_REWARDS"

    def _ask(self) -> list[RewardInfo] | RewardUnavailableError:
        host = self._client.base_url.netloc.decode()
        try:
            answer = self._client.get("/v1/rewards").raise_for_status().json()
            return _listing.validate_python(answer["data"] if isinstance(answer, dict) else answer)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            return RewardUnavailableError(
                f"the reward service at {host} answers its list with status {status}: {CURE}"
            )
        except httpx.HTTPError as error:
            return RewardUnavailableError(
                f"the reward service at {host} does not answer ({type(error).__name__}): {CURE}"
            )
        except (ValueError, KeyError, ValidationError):
            return RewardUnavailableError(
                f"what answers at {host} is not a Prelogit reward service: set PRELOGIT_REWARD_URL"
            )
