"""infinity's /rerank: one question for many documents, answers by score, raw when asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.rewards.load import load_reward
from tests.rewards.servers import fakes
from tests.rewards.servers.fakes import letters, worth

ASKED = [[{"role": "user", "content": text}] for text in ("One?", "Two?", "One?", "One?")]
RESPONSES = ["Yes.", "No.", "It pours!", "Who knows"]


def load(url: str, **options: Any) -> Any:
    return load_reward(url, protocol="infinity", patience_seconds=0.05, **options)


async def test_raw_scores_in_the_order_of_the_responses(serve: Any, reply: Any) -> None:
    async with serve(fakes.infinity(reply)) as server:
        scored = await load(f"{server.url}#ranker")(ASKED, RESPONSES)
    expected = [
        worth(letters(asked[0]["content"] + text))
        for asked, text in zip(ASKED, RESPONSES, strict=True)
    ]
    assert scored.rewards.tolist() == expected
    assert expected != sorted(expected, reverse=True)
    assert (scored.reward.name, scored.calls, scored.tokens) == ("ranker", 2, 18)
    assert scored.truncated is None


async def test_a_sigmoid_only_when_asked_for(serve: Any, reply: Any) -> None:
    async with serve(fakes.infinity(reply)) as server:
        scored = await load(server.url, activation=True)(ASKED[:1], RESPONSES[:1])
    assert scored.rewards.tolist() == [fakes.sigmoid(worth(letters("One?Yes.")))]


async def test_its_silent_cutting_is_forestalled(serve: Any, reply: Any, tokenizer: Any) -> None:
    async with serve(fakes.infinity(reply)) as server:
        known = load(server.url, tokenizer=tokenizer, max_tokens=20)
        with pytest.raises(InputError, match="response 1 "):
            await known(ASKED[:2], ["Yes.", "a" * 30])
        assert (await known(ASKED[:2], ["Yes.", "No."])).truncated == (False, False)
        right = load(server.url, tokenizer=tokenizer, max_tokens=20, truncation="right")
        assert (await right(ASKED[:2], ["Yes.", "a" * 30])).truncated == (False, True)
    assert server.seen[-1].json["documents"] == ["a" * 14]


@pytest.mark.parametrize(
    ("results", "named"),
    [
        ([{"index": 0, "relevance_score": 1.0}], "did not answer for response 1"),
        ([{"index": 0, "relevance_score": 1.0}] * 2, "twice for response 0"),
        ([{"relevance_score": 1.0}] * 2, "without an index"),
        (
            [{"index": 1, "relevance_score": "1"}, {"index": 0, "relevance_score": 1.0}],
            "response 1 is '1'",
        ),
    ],
)
async def test_nonsense_is_refused(serve: Any, reply: Any, results: Any, named: str) -> None:
    answer = reply(json.dumps({"results": results, "model": "ranker"}).encode())
    async with serve(lambda *_: answer) as server:
        with pytest.raises(RewardAnswerError, match=named):
            await load(server.url)([ASKED[0]] * 2, RESPONSES[:2])


async def test_its_own_form_of_errors(serve: Any, reply: Any) -> None:
    async with serve(fakes.infinity(reply)) as server:
        with pytest.raises(RewardAnswerError, match="400: Invalid model: other"):
            await load(server.url, model="other")(ASKED, RESPONSES)
