"""vLLM's /pooling: one number a response, whatever a model's pooler gives."""

from __future__ import annotations

from typing import Any

import pytest

from prelogit.core.errors import RewardAnswerError
from prelogit.rewards.load import load_reward
from tests.rewards.servers import fakes
from tests.rewards.servers.fakes import worth

RESPONSES = ["Yes.", "No.", "It pours!"]


def load(url: str, **options: Any) -> Any:
    return load_reward(url, protocol="vllm-pooling", patience_seconds=0.05, **options)


async def test_raw_numbers_in_their_places(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, alter=lambda data: data[::-1])) as server:
        counted = await load(server.url, tokenizer=tokenizer)(*calls(*RESPONSES))
    async with serve(fakes.vllm(reply, tokenizer)) as server:
        served = await load(server.url)(*calls(*RESPONSES))
    expected = [worth(templated(text)) for text in RESPONSES]
    assert counted.rewards.tolist() == served.rewards.tolist() == expected
    assert {request.path for request in server.seen} == {"/pooling"}


async def test_a_label_of_several(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, labels=2)) as server:
        scored = await load(server.url, tokenizer=tokenizer, label=1)(*calls(*RESPONSES))
        with pytest.raises(RewardAnswerError, match="set label"):
            await load(server.url, tokenizer=tokenizer)(*calls(*RESPONSES))
    assert scored.rewards.tolist() == [worth(templated(text), 1) for text in RESPONSES]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ([[0.5], [1.5]], "2 rows of numbers for response 0, one for each token"),
        ("AAAAPw==", "response 0 has no list"),
        (None, "response 0 has no list"),
        ([[]], "response 0 has no list"),
        ([None], "response 0 is None"),
    ],
)
async def test_what_is_no_single_row_is_refused(
    serve: Any, reply: Any, tokenizer: Any, calls: Any, data: Any, named: str
) -> None:
    def alter(found: list[Any]) -> list[Any]:
        return [{**one, "data": data} for one in found]

    async with serve(fakes.vllm(reply, tokenizer, alter=alter)) as server:
        with pytest.raises(RewardAnswerError, match=named):
            await load(server.url)(*calls("Yes."))


async def test_a_single_row_of_one_token_is_taken(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any
) -> None:
    def alter(found: list[Any]) -> list[Any]:
        return [{**one, "data": [one["data"]]} for one in found]

    async with serve(fakes.vllm(reply, tokenizer, alter=alter)) as server:
        scored = await load(server.url)(*calls("Yes."))
    assert scored.rewards.tolist() == [worth(templated("Yes."))]
