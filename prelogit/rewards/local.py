"""Rewards scored in this process, each in a thread of its own, without a server."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prelogit.core.errors import PrelogitError, RewardAnswerError
from prelogit.core.records import ModelRef
from prelogit.rewards.hosted.reward import HostedReward
from prelogit.rewards.protocol import Scores, check


class LocalReward:
    """A hosted reward as a ``Score``: one call at a time, beside the event loop.

    Its thread is its own, so that scoring never waits behind other work of the process.
    """

    def __init__(self, hosted: HostedReward) -> None:
        self.hosted = hosted
        self.name = hosted.name
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prelogit-reward")

    def __repr__(self) -> str:
        return f"LocalReward({self.name!r})"

    async def __call__(
        self, conversations: list[list[dict[str, str]]], responses: list[str]
    ) -> Scores:
        """Scores, as ``protocol.Score`` promises."""
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            scored = await loop.run_in_executor(
                self._thread, self.hosted.score, conversations, responses
            )
        except PrelogitError:
            raise
        except Exception as error:
            raise RewardAnswerError(
                f"the reward {self.name} failed with {type(error).__name__}: {error}"
            ) from error
        return Scores(
            rewards=check(scored.scores, len(responses)),
            reward=ModelRef(name=self.name, fingerprint=self.hosted.fingerprint),
            tokens=sum(scored.tokens),
            calls=1,
            seconds=time.perf_counter() - started,
            truncated=None if scored.truncated is None else tuple(scored.truncated),
        )


def relevance(**options: Any) -> LocalReward:
    """10 x cosine of sentence embeddings; options as ``hosted.embedding.load_embedding`` has them.

    Raises: ModelError: the embedding model cannot be had.
    """
    from prelogit.rewards.hosted.embedding import load_embedding

    return LocalReward(load_embedding("relevance", **options))


def classifier(model: str, **options: Any) -> LocalReward:
    """A reward model; options as ``hosted.classifier.load_classifier`` has them.

    Raises: ModelError: it cannot be loaded or trusted.
    """
    from prelogit.rewards.hosted.classifier import load_classifier

    return LocalReward(load_classifier(options.pop("name", model), model=model, **options))
