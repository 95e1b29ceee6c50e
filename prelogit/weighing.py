"""Score the texts that a question's candidates would make."""

from __future__ import annotations

from typing import Any

import torch

from prelogit.rewards.protocol import Score
from prelogit.search.guiding import Weighed
from prelogit.search.plan import Question


async def weigh(
    score: Score, tokenizer: Any, messages: list[dict[str, str]], question: Question
) -> Weighed:
    """All candidates of all rows in one call, as text: the reward need not share the tokenizer.

    What a candidate that ends the answer makes is the answer. Equal texts are scored once: rows
    begin alike, and a special token adds nothing.

    Args:    messages: what the answer is to.
    Raises:  RewardError: as ``score``.
    """
    m, k = question.token_ids.shape
    whole = torch.cat(
        [question.before[:, None].expand(m, k, -1), question.token_ids[..., None]], dim=-1
    )
    texts = tokenizer.batch_decode(whole.flatten(0, 1).tolist(), skip_special_tokens=True)
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    scores = await score([messages] * len(place), list(place))
    rewards = scores.rewards[[place[text] for text in texts]].view(m, k)
    return Weighed(rewards, len(place), scores.seconds, scores.calls, scores.tokens)
