"""The calls of a probe: asks a reward, counts what that costs, tells refusals from nonsense."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from prelogit.core.errors import InputError, PrelogitError, RewardAnswerError
from prelogit.core.records import ModelRef
from prelogit.rewards.caller import ANEW, RefusedError
from prelogit.rewards.probe_texts import Item
from prelogit.rewards.protocol import Score, Scores, check

LONGEST_ALONE_SECONDS = 30.0  # a slow reward is not asked for every text alone
FEWEST_ALONE = 5
_REFUSED = re.compile(r"\brefused with status 4\d\d\b")
LARGEST = 1e100  # whose square is still a number


class Asked:
    """A reward that is asked about items. ``calls`` and ``tokens``: of all calls so far."""

    def __init__(self, score: Score) -> None:
        self._score = score
        self.calls = self.tokens = 0
        self.reward: ModelRef | None = None

    async def __call__(self, items: Sequence[Item]) -> Scores:
        """
        Raises: RewardAnswerError, also where one probe is answered by two models.
        """
        before = ANEW.set(True)  # remembered scores would tell nothing of the model
        try:
            scores = await self._score(
                [item.conversation for item in items], [item.response for item in items]
            )
        finally:
            ANEW.reset(before)
        self.calls += scores.calls
        self.tokens += scores.tokens
        if self.reward is not None and self.reward.fingerprint != scores.reward.fingerprint:
            raise RewardAnswerError(
                "two different models answered the probe's calls: let one model serve all requests"
            )
        self.reward = scores.reward
        rewards = check(scores.rewards, len(items))
        largest = float(rewards.abs().max())
        if largest > LARGEST:
            raise RewardAnswerError(
                f"the reward of a golden text is as large as {largest:.3g}, too large to reckon with: scale "
                "the reward down"
            )
        return scores._replace(rewards=rewards)


class Alone(NamedTuple):
    """Rewards of items that stood alone, by their place. ``seconds``: of each call."""

    rewards: dict[int, float]
    refused: dict[str, str]  # conversations that the reward does not read, and why
    seconds: list[float]
    whole: bool  # each with all responses to its conversation, for a reward that compares them

    @property
    def single_seconds(self) -> float:
        return statistics.median(self.seconds)


async def one_by_one(asked: Asked, items: Sequence[Item]) -> Alone:
    """Each item in a call of its own, until that takes too long.

    Raises: RewardAnswerError: nonsense for one of them, or a refusal of all.
    """
    alone = await _one_by_one(asked, [[place] for place in range(len(items))], items)
    if alone.rewards:
        return alone
    groups: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault(item.name, []).append(place)
    together = await _one_by_one(asked, list(groups.values()), items)
    if together.rewards:
        return together._replace(whole=True)
    reason = next(iter(alone.refused.values()))
    raise RewardAnswerError(f"the reward takes none of the probe's texts: {reason}")


async def _one_by_one(
    asked: Asked, groups: Sequence[Sequence[int]], items: Sequence[Item]
) -> Alone:
    rewards: dict[int, float] = {}
    refused: dict[str, str] = {}
    seconds: list[float] = []
    started = time.monotonic()
    for places in groups:
        name = items[places[0]].name
        if name in refused:
            continue
        if len(rewards) >= FEWEST_ALONE and time.monotonic() - started > LONGEST_ALONE_SECONDS:
            break
        try:
            scores = await asked([items[place] for place in places])
        except PrelogitError as error:
            if not refuses(error):
                raise
            refused[name] = str(error)
            continue
        seconds.append(scores.seconds)
        rewards |= dict(zip(places, scores.rewards.tolist(), strict=True))
    kept = {place: reward for place, reward in rewards.items() if items[place].name not in refused}
    return Alone(kept, refused, seconds, whole=False)


def refuses(error: Exception) -> bool:
    """Whether a reward says that it does not take a text, rather than answer nonsense for it."""
    if isinstance(error, RefusedError):
        return 400 <= error.status < 500
    if isinstance(error, RewardAnswerError):  # told anew, with the response that it is about
        return _REFUSED.search(str(error)) is not None
    return isinstance(error, InputError)
