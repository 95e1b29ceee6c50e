"""OpenRLHF's /get_reward: text as the template writes it, and a server that cuts in silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.rewards.load import load_reward
from tests.rewards.servers import fakes
from tests.rewards.servers.fakes import worth

RESPONSES = ["Yes.", "No.", "It pours!"]


def load(url: str, **options: Any) -> Any:
    return load_reward(url, protocol="openrlhf", patience_seconds=0.05, **options)


async def test_the_templated_text_is_sent_with_its_bos(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any
) -> None:
    async with serve(fakes.openrlhf(reply, tokenizer)) as server:
        scored = await load(f"{server.url}/get_reward", tokenizer=tokenizer)(*calls(*RESPONSES))
    assert scored.rewards.tolist() == [worth(templated(text)) for text in RESPONSES]
    assert scored.truncated is None  # its length is not known
    assert scored.reward.name == "openrlhf"


async def test_its_silent_cutting_is_forestalled_once_its_length_is_known(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any
) -> None:
    async with serve(fakes.openrlhf(reply, tokenizer, limit=80)) as server:
        known = load(server.url, tokenizer=tokenizer, max_tokens=80)
        with pytest.raises(InputError, match="response 1 "):
            await known(*calls("Yes.", "a" * 90))
        assert (await known(*calls("Yes.", "No."))).truncated == (False, False)
        left = load(server.url, tokenizer=tokenizer, max_tokens=80, truncation="left")
        scored = await left(*calls("Yes.", "a" * 90))
    whole = templated("a" * 90)
    assert scored.rewards.tolist()[1] == worth([whole[0], *whole[-79:]])
    assert scored.truncated == (False, True)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "tokenizer"),
        ({"text": "plain", "truncation": "left"}, "truncation"),
        ({"text": "plain", "max_tokens": 80}, "max_tokens"),
        ({"model": "rm"}, "model"),
    ],
)
def test_what_it_cannot_be_told(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as told:
        load("http://127.0.0.1:1", **options)
    assert told.value.field == field


def test_how_to_cut_needs_the_length(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="does not tell how much it reads") as told:
        load("http://127.0.0.1:1", tokenizer=tokenizer, truncation="left")
    assert told.value.field == "max_tokens"


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"rewards": [1.0]}, "1 rewards came back for 2"),
        ({"rewards": [1.0, float("nan")]}, "response 1 is nan"),
        ({"rewards": [[1.0], [2.0]]}, "response 0 is of type list"),
        ({"rewards": 1.0}, "without a list 'rewards'"),
        ({"scores": [1.0, 2.0]}, "without a list 'rewards'"),
        ([1.0, 2.0], "without a list 'rewards'"),
    ],
)
async def test_nonsense_is_refused(
    serve: Any, reply: Any, calls: Any, document: Any, named: str
) -> None:
    async with serve(lambda *_: reply(json.dumps(document).encode())) as server:
        with pytest.raises(RewardAnswerError, match=named):
            await load(server.url, text="plain")(*calls("Yes.", "No."))


async def test_an_error_without_a_word_is_a_refusal(serve: Any, reply: Any, calls: Any) -> None:
    broken = reply(b"Internal Server Error", 500, "text/plain; charset=utf-8")
    async with serve(lambda *_: broken) as server:
        with pytest.raises(RewardAnswerError, match="500: Internal Server Error"):
            await load(server.url, text="plain")(*calls("Yes."))
