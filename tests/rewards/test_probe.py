"""What a probe finds out about rewards, refuses and warns of."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from prelogit.core.errors import InputError, RewardAnswerError, RewardUnavailableError
from prelogit.rewards.hosted.ensemble import make_ensemble
from prelogit.rewards.hosted.function import host_function
from prelogit.rewards.load import load_reward
from prelogit.rewards.local import LocalReward
from prelogit.rewards.probe import probe
from prelogit.rewards.probe_texts import GOLDEN, OVER_LONG
from prelogit.rewards.protocol import Scores
from prelogit.wire.probe import Probe
from tests.workers.moody import vowels

Rewards = list[float]


def words(text: str) -> set[str]:
    return {word.strip(".,?!„“").lower() for word in text.split()}


def overlap(conversation: list[dict[str, str]], response: str) -> float:
    """Words of the question in the answer, and a little of everything: all texts differ."""
    asked = words(conversation[-1]["content"])
    shared = len(asked & words(response)) + 2 * ("?" not in response)
    return shared + sum(map(ord, response.strip())) % 997 / 1e4


def fair(conversations: Sequence[Any], responses: Sequence[str]) -> Rewards:
    return [overlap(*pair) for pair in zip(conversations, responses, strict=True)]


def length(conversations: Sequence[Any], responses: Sequence[str]) -> Rewards:
    return [float(len(text)) for text in responses]


async def probed(function: Callable[..., Any]) -> Probe:
    return await probe(load_reward(function))


def warned(report: Probe, *said: str) -> None:
    """One warning for each, and no other."""
    assert len(report.warnings) == len(said), report.warnings
    for text, warning in zip(said, report.warnings, strict=True):
        assert text in warning


def odd(report: Probe) -> dict[str, str]:
    return {one.text: one.outcome for one in report.odd}


async def test_the_packaged_reward_is_sound_and_tells_what_it_cuts() -> None:
    report = await probe(load_reward("relevance"))
    assert (report.reward, report.fingerprint is None) == ("relevance", False)
    assert (report.on_topic, report.pairs) == (5, 5)
    assert -10 <= report.scale.low < report.scale.mean < report.scale.high <= 10
    assert report.scale.distinct == 3 * len(GOLDEN)
    assert report.bounds == (-10.0, 10.0)
    assert report.batch.texts == 3 * len(GOLDEN)
    assert report.batch.relative is not None
    assert report.batch.relative < 1e-3
    assert odd(report)["over-long response"] == odd(report)["over-long prompt"] == "cut"
    assert odd(report)["empty response"] == "whole"
    assert report.tokens > 1000
    assert report.latency.single_seconds > 0
    assert report.warnings == ()
    assert Probe.model_validate_json(report.model_dump_json()) == report


async def test_calls_are_counted_and_every_text_is_seen_alone_and_together() -> None:
    seen: list[list[str]] = []

    def watched(conversations: Any, responses: Sequence[str]) -> Rewards:
        seen.append(list(responses))
        return fair(conversations, responses)

    report = await probed(watched)
    assert report.calls == len(seen)
    singles = [call[0] for call in seen if len(call) == 1]
    for golden in GOLDEN:
        for text in (golden.good, golden.off_topic, golden.bad):
            assert text in singles
    together = [call for call in seen if len(call) == 3 * len(GOLDEN)]
    assert len(together) == 2
    assert together[0] != together[1]
    assert sorted(together[0]) == sorted(together[1])
    assert max(map(len, singles)) > 0.99 * OVER_LONG
    assert report.warnings == ()


def by_size(conversations: Any, responses: Sequence[str]) -> Rewards:
    return sorted(fair(conversations, responses))


def backwards(conversations: Any, responses: Sequence[str]) -> Rewards:
    return fair(conversations, responses)[::-1]


def shifted(conversations: Any, responses: Sequence[str]) -> Rewards:
    rewards = length(conversations, responses)
    return rewards[1:] + rewards[:1]


def two_changed(conversations: Any, responses: Sequence[str]) -> Rewards:
    rewards = length(conversations, responses)
    if len(rewards) > 2:
        rewards[0], rewards[1] = rewards[1], rewards[0]
    return rewards


@pytest.mark.parametrize("function", [by_size, backwards, shifted, two_changed])
async def test_an_order_that_does_not_hold_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(RewardAnswerError, match="in the order of the request"):
        await probed(function)


async def test_chance_is_refused() -> None:
    chance = random.Random(0)
    with pytest.raises(RewardAnswerError, match="say nothing"):
        await probed(lambda conversations, responses: [chance.random() for _ in responses])


async def test_what_depends_on_the_batch_more_than_on_the_text_is_refused() -> None:
    def padded(conversations: Any, responses: Sequence[str]) -> Rewards:
        """As a head that is read at the last place of the padded row."""
        longest = max(map(len, responses))
        return [math.sin(len(text)) + (longest - len(text)) for text in responses]

    with pytest.raises(RewardAnswerError, match="in a batch and alone"):
        await probed(padded)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda c, r: [math.nan for _ in r], "not a finite number"),
        (lambda c, r: [1.7e308 for _ in r], "scale the reward down"),
        (lambda c, r: [1.0] * (len(r) - (len(r) > 1)), "14 rewards came back for 15 responses"),
    ],
)
async def test_nonsense_is_refused(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(RewardAnswerError, match=said):
        await probed(function)


@pytest.mark.parametrize(
    ("noise", "said"), [(1e-4, None), (0.1, "half precision"), (2.0, "more than rounding does")]
)
async def test_differences_with_the_batch_are_told_by_their_size(
    noise: float, said: str | None
) -> None:
    def noisy(conversations: Any, responses: Sequence[str]) -> Rewards:
        rewards = fair(conversations, responses)
        if len(rewards) < 10:
            return rewards
        return [one + noise * math.sin(7 * place) for place, one in enumerate(rewards)]

    report = await probed(noisy)
    assert report.batch.largest == pytest.approx(noise, rel=0.05)
    assert report.batch.relative == pytest.approx(report.batch.largest / report.scale.std)
    warned(report, *([said] if said else []))


async def test_a_sigmoid_is_seen_and_explained() -> None:
    report = await probed(lambda c, r: [1 / (1 + math.exp(-8 * (one - 1.5))) for one in fair(c, r)])
    assert report.saturation is not None
    assert (report.saturation.low, report.saturation.high) == (0.0, 1.0)
    assert report.saturation.crowded > 0.5
    warned(report, "as a sigmoid makes them")


async def test_small_raw_numbers_are_no_sigmoid() -> None:
    report = await probed(lambda c, r: [one / 100 + 0.4 for one in fair(c, r)])
    assert report.saturation is not None
    assert report.saturation.crowded == 0
    assert report.warnings == ()


async def test_a_reward_that_says_nothing() -> None:
    report = await probed(lambda c, r: [0.5 for _ in r])
    assert report.batch.relative is None
    warned(report, "steers nothing")


async def test_a_head_that_was_never_trained_and_a_reward_that_looks_elsewhere() -> None:
    untrained = await probed(lambda c, r: [sum(map(ord, t)) % 89 / 1e4 for t in r])
    assert untrained.on_topic <= 2
    assert "never trained" in untrained.warnings[0]
    short = await probed(lambda c, r: [-one for one in length(c, r)])
    warned(short, "its sign")


async def test_spaces_that_count_are_told() -> None:
    def spaced(conversations: Any, responses: Sequence[str]) -> Rewards:
        pairs = zip(fair(conversations, responses), responses, strict=True)
        return [one + 2 * (text != text.rstrip()) for one, text in pairs]

    report = await probed(spaced)
    assert report.spaces is not None
    assert report.spaces.largest == pytest.approx(2)
    warned(report, "spaces or line breaks")


async def test_a_missing_chat_template_is_guessed_from_markers_alone() -> None:
    def wants_markers(conversations: Any, responses: Sequence[str]) -> Rewards:
        """As a model that tells answers apart only by its template."""
        good = {golden.good for golden in GOLDEN}
        bare = [re.sub(r"<\|im_start\|>\w+\n|<\|im_end\|>", "", text) for text in responses]
        fairly = zip(fair(conversations, bare), bare, responses, strict=True)
        return [one + 20 * (text in good and text != whole) for one, text, whole in fairly]

    warned(await probed(wants_markers), "give the reward its chat template")
    for elsewhere in (length, vowels):
        assert "template" not in " ".join((await probed(elsewhere)).warnings)


async def test_refused_texts_are_written_down() -> None:
    def picky(conversations: Any, responses: Sequence[str]) -> Rewards:
        for turns, text in zip(conversations, responses, strict=True):
            if turns[0]["role"] == "system":
                raise InputError("no system turn, please")
            if not text.strip():
                raise ZeroDivisionError
            if len(text) + len(turns[-1]["content"]) > 9000:
                raise InputError("at most 9000 characters, please")
        return fair(conversations, responses)

    report = await probed(picky)
    reasons = {one.text: one.reason for one in report.odd if one.outcome == "refused"}
    assert set(reasons) == {
        "system turn, good answer",
        "empty response",
        "blank response",
        "over-long response",
        "over-long prompt",
    }
    assert reasons["over-long prompt"] == "at most 9000 characters, please"
    assert "ZeroDivisionError" in str(reasons["empty response"])
    assert report.pairs == len(GOLDEN) - 1
    warned(report, "it refuses system turn")


async def test_a_reward_that_takes_nothing_is_refused_with_its_reason() -> None:
    def never(conversations: Any, responses: Any) -> Rewards:
        raise InputError("only pictures, please")

    with pytest.raises(RewardAnswerError, match="none of the probe's texts: only pictures"):
        await probed(never)


async def test_an_end_that_is_not_read_in_silence_is_seen() -> None:
    report = await probed(lambda c, r: fair(c, [text[:3000] for text in r]))
    assert odd(report)["over-long response"] == "not told"
    warned(report, "same reward with another end")


async def test_a_reward_that_compares_responses_is_probed_by_conversation() -> None:
    members = [(host_function(fair, name="fair"), 1.0), (host_function(length, name="long"), 0.1)]
    both = LocalReward(make_ensemble("both", members, normalize="prompt"))
    report = await probe(both)
    assert report.alone == "conversation"
    assert report.batch.texts == 3 * len(GOLDEN)
    assert report.batch.largest < 1e-9
    assert (report.spaces, report.markers) == (None, None)
    assert odd(report)["over-long response"] == "not told"


async def test_a_server_that_dies_of_a_long_text_is_no_reason_to_refuse(
    serve: Any, reply: Any
) -> None:
    def answer(request: Any, number: int) -> Any:
        responses = request.json["responses"]
        if max(map(len, responses)) > 9000:
            return reply(breaks=True)
        return reply(
            json.dumps({"scores": fair(request.json["conversations"], responses)}).encode()
        )

    async with serve(answer) as server:
        report = await probe(
            load_reward(server.url, patience_seconds=0.05, first_wait_seconds=0.01)
        )
    assert odd(report)["over-long response"] == "refused"
    assert "over-long prompt" not in odd(report)  # not asked any more
    warned(report, "did not answer")


async def test_a_reward_that_is_down_is_not_probed() -> None:
    reward = load_reward("http://127.0.0.1:9", patience_seconds=0.0)
    with pytest.raises(RewardUnavailableError):
        await probe(reward)


async def test_two_models_behind_one_name_are_refused(serve: Any, good: Any) -> None:
    def answer(request: Any, number: int) -> Any:
        rewards = fair(request.json["conversations"], request.json["responses"])
        return good(*rewards, fingerprint=str(number % 2))

    async with serve(answer) as server:
        with pytest.raises(RewardAnswerError, match="two different models"):
            await probe(load_reward(server.url))


async def test_a_reward_that_cuts_an_ordinary_text_is_warned_of() -> None:
    async def short(conversations: Any, responses: list[str]) -> Scores:
        scores = await load_reward("relevance")(conversations, responses)
        return scores._replace(truncated=tuple(len(text) > 40 for text in responses))

    report = await probe(short)
    warned(report, "it does not read all of")
    (told,) = [one for one in report.warnings if "does not read all" in one]
    assert "over-long" not in told
