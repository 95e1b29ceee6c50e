"""Score a round: by the reward that steers and, at the same time, by the held-out one, which does not."""

from __future__ import annotations

import asyncio

from prelogit.core.errors import RewardAnswerError, RewardError, RewardUnavailableError
from prelogit.rewards.protocol import Score, Scores
from prelogit.search.course import Scored


async def score_both(
    score: Score,
    held_out: Score | None,
    conversations: list[list[dict[str, str]]],
    responses: list[str],
) -> tuple[Scores, Scores | None]:
    """What both say of the responses; None where there is no held-out reward.

    Raises: RewardError: one of them does not answer, or nonsense; it says so where it is the held-out.
    """
    if held_out is None:
        return await score(conversations, responses), None
    tasks = [
        asyncio.ensure_future(score(conversations, responses)),
        asyncio.ensure_future(_named(held_out, conversations, responses)),
    ]
    try:
        first, second = await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:  # the other need not go on
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    return first, second


def scored(texts: list[str], scores: Scores, held_out: Scores | None) -> Scored:
    """A round's scores as its search takes them, with the costs of both."""
    alone = Scored(
        texts,
        scores.rewards,
        scores.seconds,
        scores.calls,
        scores.tokens,
        truncated=scores.truncated,
    )
    if held_out is None:
        return alone
    return alone._replace(
        seconds=max(scores.seconds, held_out.seconds),  # at the same time
        calls=scores.calls + held_out.calls,
        tokens=scores.tokens + held_out.tokens,
        held_out=held_out.rewards,
    )


async def _named(
    held_out: Score, conversations: list[list[dict[str, str]]], responses: list[str]
) -> Scores:
    try:
        return await held_out(conversations, responses)
    except RewardError as error:
        raise named_held_out(error) from error


def named_held_out(error: RewardError) -> RewardError:
    """The error, of the same kind, that says which of a job's rewards it was."""
    told = f"the held-out reward: {error}"
    if isinstance(error, RewardUnavailableError):
        return RewardUnavailableError(told)
    return RewardAnswerError(told)
