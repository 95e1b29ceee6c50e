"""What the reward has not read whole is said of each candidate."""

from __future__ import annotations

import asyncio
from typing import Any

import torch

from prelogit.align import align
from prelogit.core.records import ModelRef
from prelogit.engine.load import Model
from prelogit.rewards.protocol import Scores
from prelogit.scoring import score_both, scored
from prelogit.wire.params import AISP
from tests.aligned import PROMPTS, model

__all__ = ["model"]


def cutting(limit: int | None, worth: float = 1.0) -> Any:
    """A reward that reads so many characters, and says so unless there is no limit."""

    async def score(conversations: Any, responses: list[str]) -> Scores:
        read = [text[:limit] for text in responses]
        rewards = torch.tensor([worth * len(set(text)) for text in read], dtype=torch.float64)
        cut = None if limit is None else tuple(len(text) > limit for text in responses)
        return Scores(rewards, ModelRef(name="short"), 0, 1, 0.0, cut)

    return score


def test_candidates_that_were_cut_are_flagged(model: Model) -> None:
    result = align(
        model,
        PROMPTS[:1],
        cutting(7),
        method=AISP(n=6, iterations=2),
        max_new_tokens=8,
        keep="all",
        coherence=False,
        nll=False,
    )[0]
    assert {len(one.text) > 7 for one in result.candidates} == {True, False}
    assert [one.truncated for one in result.candidates] == [
        len(one.text) > 7 for one in result.candidates
    ]
    assert result.responses[0].truncated == (len(result.response or "") > 7)


def test_a_reward_that_does_not_say_it_leaves_it_open(model: Model) -> None:
    result = align(
        model, PROMPTS[:1], cutting(None), method=AISP(n=4, iterations=1), max_new_tokens=8
    )[0]
    assert result.responses[0].truncated is None


def test_the_flag_is_the_steering_rewards_beside_a_held_out_one() -> None:
    texts = ["short", "a longer text"]
    found = asyncio.run(score_both(cutting(5), cutting(1), [[]] * 2, texts))
    told = scored(texts, *found)
    assert told.truncated == (False, True)
    assert told.held_out is not None
