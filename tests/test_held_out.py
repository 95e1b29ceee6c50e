"""A second reward that looks on: it is traced, it never steers, and its failures are told."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prelogit.align import AlignedResult, align
from prelogit.core.errors import InputError, RewardAnswerError, RewardUnavailableError
from prelogit.engine.load import Model
from prelogit.rewards.caller import RefusedError
from prelogit.rewards.protocol import Scores
from prelogit.wire.jobs import Stop
from prelogit.wire.params import AISP, BestOfN, Params, SoftBestOfN
from tests import tiny
from tests.aligned import PROMPTS, model

__all__ = ["model"]
REWARD = tiny.scoring(tiny.vowels)
METHODS: list[Params] = [
    AISP(n=4, iterations=3),
    AISP(n=4, iterations=3, proposal="mean"),
    BestOfN(n=5),
    SoftBestOfN(n=5, **{"lambda": 0.5}),
]


def shortness(conversations: Any, responses: list[str]) -> list[float]:
    return [-float(len(set(response))) for response in responses]


def aligned(model: Model, reward: Any = REWARD, **fields: Any) -> list[AlignedResult]:
    given = {"method": METHODS[0], "max_new_tokens": 8, "coherence": False, "nll": False}
    return align(model, PROMPTS, reward, **{**given, **fields})


@settings(max_examples=12)
@given(st.sampled_from(METHODS), st.integers(0, 99), st.sampled_from(["best", "all"]), st.data())
def test_it_never_steers(
    model: Model, method: Params, seed: int, keep: Any, data: st.DataObject
) -> None:
    opinions = data.draw(st.lists(st.floats(-9, 9), min_size=5, max_size=5))
    given: dict[str, Any] = {"method": method, "seed": seed, "keep": keep}
    alone = aligned(model, **given)
    watched = aligned(
        model, held_out=tiny.scoring(lambda c, responses: opinions[: len(responses)]), **given
    )
    told = {"rewards", "weights", "finish", "tokens", "chosen", "best_so_far", "diversity"}
    for one, other in zip(alone, watched, strict=True):
        assert (one.response, one.reward, one.samples) == (
            other.response,
            other.reward,
            other.samples,
        )
        rows = zip(one.trace.iterations, other.trace.iterations, strict=True)
        for mine, seen in rows:
            assert mine.model_dump(include=told) == seen.model_dump(include=told)
            assert mine.held_out is None
            assert seen.held_out is not None
            assert seen.held_out.rewards == tuple(opinions[: len(seen.rewards)])
        tokens = {(c.iteration, c.sample): c.token_ids for c in other.candidates}
        assert all(tokens[c.iteration, c.sample] == c.token_ids for c in one.candidates)
        assert one.picks is None


def test_it_scores_what_the_method_draws_and_no_baseline(model: Model) -> None:
    seen: list[str] = []

    def look(conversations: Any, responses: list[str]) -> list[float]:
        assert [one[-1]["role"] for one in conversations] == ["user"] * len(responses)
        seen.extend(responses)
        return shortness(conversations, responses)

    results = aligned(model, held_out=tiny.scoring(look), baselines=[BestOfN(n=3)], keep="all")
    assert len(seen) == sum(one.samples for one in results) == 3 * 16
    for one in results:
        assert [row.reward_calls for row in one.trace.iterations] == [2] * 4
        for candidate in one.candidates:
            assert candidate.held_out == shortness(None, [candidate.text])[0]
        assert one.picks is not None
        assert one.picks.held_out is not None
        assert one.picks.held_out.held_out == max(c.held_out or 0.0 for c in one.candidates)
        assert one.picks.reward is not None
        assert (one.picks.reward.text, one.picks.reward.reward) == (one.response, one.reward)
        assert one.picks.kl is None


def test_both_are_asked_at_the_same_time(model: Model) -> None:
    async def steer(conversations: Any, responses: Any) -> Scores:
        started.set()
        await asyncio.wait_for(looked.wait(), 20)
        scores: Scores = await REWARD(conversations, responses)
        return scores._replace(seconds=3.0, tokens=5)

    async def look(conversations: Any, responses: Any) -> Scores:
        await asyncio.wait_for(started.wait(), 20)
        looked.set()
        scores: Scores = await REWARD(conversations, responses)
        return scores._replace(seconds=2.0, tokens=7, calls=2)

    started, looked = asyncio.Event(), asyncio.Event()
    (row,) = aligned(model, steer, held_out=look, method=BestOfN(n=2))[0].trace.iterations
    assert (row.seconds.reward, row.reward_tokens, row.reward_calls) == (3.0, 12, 3)


@pytest.mark.parametrize(
    "error", [RewardUnavailableError, RewardAnswerError, partial(RefusedError, status=400)]
)
def test_where_it_fails_its_prompt_fails_and_says_so(model: Model, error: Any) -> None:
    cancelled: list[str] = []

    async def look(conversations: Any, responses: Any) -> Any:
        if "whale" in conversations[0][-1]["content"]:
            raise error("it is down")
        return await tiny.scoring(shortness)(conversations, responses)

    async def slow(conversations: Any, responses: Any) -> Any:
        if "whale" in conversations[0][-1]["content"]:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append("whale")
                raise
        return await REWARD(conversations, responses)

    first, second, third = aligned(model, slow, held_out=look)
    assert (first.status, second.status, third.status) == ("succeeded", "failed", "succeeded")
    assert second.error == "the held-out reward: it is down"
    assert second.trace.iterations == ()
    assert cancelled == ["whale"]


def test_a_search_ends_where_the_second_reward_falls(model: Model) -> None:
    """The reward likes what the second one does not."""

    def against(conversations: Any, responses: list[str]) -> list[float]:
        return [-value for value in tiny.vowels(conversations, responses)]

    given: dict[str, Any] = {"method": AISP(n=4, iterations=8), "held_out": tiny.scoring(against)}
    whole, ended = aligned(model, **given), aligned(model, stop=Stop(held_out=1), **given)
    assert "held_out" in {one.stopped for one in ended}
    for one, other in zip(whole, ended, strict=True):
        bests = [row.best_so_far for row in one.trace.iterations]
        rose = [k for k in range(1, 9) if bests[k] > bests[0]]
        assert len(other.trace.iterations) == (rose[0] + 1 if rose else 9)
        assert other.stopped == ("held_out" if rose and rose[0] < 8 else None)
        assert other.picks is not None
        assert other.picks.held_out is not None
        assert other.picks.held_out.reward == min(
            reward for row in other.trace.iterations for reward in row.rewards
        )


def test_a_search_ends_with_the_round_that_passes_the_kl(model: Model) -> None:
    method = AISP(n=4, iterations=6, proposal="mean")
    whole = aligned(model, method=method)[0].trace.iterations
    limit = sorted(row.kl_gaussian or 0.0 for row in whole)[3]
    over = next(k for k, row in enumerate(whole) if (row.kl_gaussian or 0.0) > limit)
    (result, *_) = aligned(model, method=method, stop=Stop(kl=limit), keep="all")
    assert (result.stopped, result.iterations) == ("kl", over + 1)
    assert [row.rewards for row in result.trace.iterations] == [
        row.rewards for row in whole[: over + 1]
    ]
    assert result.picks is not None
    assert result.picks.kl is not None
    assert result.picks.kl.kl is not None
    assert result.picks.kl.kl <= limit
    within = [c.reward for c in result.candidates if c.iteration <= over]
    assert result.picks.kl.reward == max(within)
    assert result.reward == max(c.reward for c in result.candidates)


def test_a_limit_that_cannot_be_held_is_said(model: Model) -> None:
    (plain, *_) = aligned(model, method=BestOfN(n=3), stop=Stop(kl=0.0))
    assert plain.stopped is None
    assert any("stop.kl" in one and "bon" in one for one in plain.warnings)
    (texts, *_) = aligned(model, stop=Stop(kl=1e9))
    assert not any("stop.kl" in one for one in texts.warnings)


def test_what_cannot_be_is_refused(model: Model) -> None:
    with pytest.raises(InputError, match="give another one") as refused:
        aligned(model, held_out=REWARD)
    assert refused.value.field == "held_out"
    with pytest.raises(ValidationError, match=r"leave stop\.held_out out"):
        aligned(model, stop=Stop(held_out=2))
