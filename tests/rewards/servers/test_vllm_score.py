"""vLLM's /score: pairs, one question a request."""

from __future__ import annotations

from typing import Any

import pytest

from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.rewards.load import load_reward
from tests.rewards.servers import fakes
from tests.rewards.servers.fakes import worth

ASKED = [[{"role": "user", "content": text}] for text in ("One?", "Two?", "One?", "Two?")]
RESPONSES = ["Yes.", "No.", "It pours!", ""]


def load(url: str, **options: Any) -> Any:
    return load_reward(url, protocol="vllm-score", patience_seconds=0.05, **options)


async def test_responses_to_one_question_share_a_request_and_come_back_to_their_places(
    serve: Any, reply: Any, tokenizer: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, alter=lambda data: data[::-1])) as server:
        scored = await load(server.url)(ASKED, RESPONSES)
    assert scored.rewards.tolist() == [
        worth(tokenizer(asked[0]["content"], response)["input_ids"])
        for asked, response in zip(ASKED, RESPONSES, strict=True)
    ]
    assert scored.calls == 2
    assert scored.truncated == (False,) * 4
    sent = {request.json["text_1"]: request.json["text_2"] for request in server.seen}
    assert sent == {"One?": ["Yes.", "It pours!"], "Two?": ["No.", ""]}


async def test_the_error_names_the_place_in_the_whole_call(
    serve: Any, reply: Any, tokenizer: Any
) -> None:
    def alter(data: list[Any]) -> list[Any]:
        return [{**one, "score": None if one["index"] == 1 else one["score"]} for one in data]

    async with serve(fakes.vllm(reply, tokenizer, alter=alter)) as server:
        with pytest.raises(RewardAnswerError, match="response 2 is None"):
            await load(server.url)(ASKED[:3], RESPONSES[:3])


async def test_pairs_are_counted_with_a_tokenizer(serve: Any, reply: Any, tokenizer: Any) -> None:
    async with serve(fakes.vllm(reply, tokenizer, limit=20)) as server:
        with pytest.raises(InputError, match="response 1 "):
            await load(server.url, tokenizer=tokenizer, max_tokens=20)(
                ASKED[:2], ["Yes.", "a" * 30]
            )
        right = load(server.url, tokenizer=tokenizer, max_tokens=20, truncation="right")
        scored = await right(ASKED[:2], ["Yes.", "a" * 30])
        left = load(server.url, tokenizer=tokenizer, max_tokens=20, truncation="left")
        with pytest.raises(InputError, match="the response of response 1 fills the 20 tokens"):
            await left(ASKED[:2], ["Yes.", "a" * 30])
        beheaded = await left([[{"role": "user", "content": "b" * 40 + "?"}]], ["Yes."])
    assert scored.truncated == (False, True)
    assert scored.rewards.tolist()[1] == worth(tokenizer("Two?", "a" * 14)["input_ids"])
    assert beheaded.rewards.tolist() == [worth(tokenizer("b" * 13 + "?", "Yes.")["input_ids"])]


async def test_a_conversation_without_a_question_is_named(reply: Any, serve: Any) -> None:
    with pytest.raises(InputError, match="conversation 1 has no user message") as told:
        await load("http://127.0.0.1:1")([ASKED[0], [{"role": "system", "content": "x"}]], ["", ""])
    assert told.value.field == "conversations[1]"


def test_there_is_no_chat_form() -> None:
    with pytest.raises(InputError, match="text cannot be 'chat'"):
        load("http://127.0.0.1:1", text="chat")
