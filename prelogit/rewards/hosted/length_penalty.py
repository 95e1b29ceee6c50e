"""Any reward, less something for each token or character of the response beyond a free length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted.derived import derived_fingerprint
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored

Unit = Literal["token", "character"]


def with_length_penalty(
    hosted: HostedReward, *, weight: float, free: int = 0, per: Unit = "token"
) -> HostedReward:
    """The reward less ``weight`` times what the response is longer than ``free``.

    The whole response counts, also where the reward reads only a part of it. A whole text is no
    longer scored: which part of it is the response is not known.
    Args:   per: tokens are those of the reward's own tokenizer.
    Raises: ModelError: tokens are to be counted, and the reward has no tokenizer.
    """
    count: Callable[[Sequence[str]], list[int]] | None = (
        hosted.count_tokens if per == "token" else lambda texts: [len(text) for text in texts]
    )
    if count is None:
        raise ModelError(
            f"the reward {hosted.name!r} has no tokenizer, so that its length_penalty cannot count "
            'tokens: set "per": "character"'
        )

    def score(conversations: Sequence[Conversation], responses: Sequence[str]) -> Scored:
        scored = hosted.score(conversations, responses)
        if len(scored.scores) != len(responses):
            return scored  # whoever called says so
        pairs = zip(scored.scores, count(responses), strict=True)
        less = [score - weight * max(0, length - free) for score, length in pairs]
        return scored._replace(scores=less)

    settings = {"penalty": weight, "free": free, "per": per}
    return hosted._replace(
        description=f"{hosted.description}, less {weight:g} for each {per} beyond {free}",
        fingerprint=derived_fingerprint([hosted.fingerprint], settings),
        low=None,
        score=score,
        score_text=None,
    )
