"""SGLang's /classify: a list in order, the reward in a field called embedding."""

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
    return load_reward(url, protocol="sglang", patience_seconds=0.05, **options)


async def test_tokens_are_sent_so_that_bos_stands_once(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any
) -> None:
    async with serve(fakes.sglang(reply, tokenizer)) as server:
        scored = await load(server.url, tokenizer=tokenizer, model="rm")(*calls(*RESPONSES))
    assert scored.rewards.tolist() == [worth(templated(text)) for text in RESPONSES]
    assert scored.tokens == sum(len(templated(text)) for text in RESPONSES)
    assert scored.truncated == (False, False, False)
    assert scored.reward.name == "rm"


@pytest.mark.parametrize("bare", [True, False])
async def test_one_response_comes_as_a_list_or_bare(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any, bare: bool
) -> None:
    async with serve(fakes.sglang(reply, tokenizer, bare=bare)) as server:
        scored = await load(server.url, tokenizer=tokenizer)(*calls("Yes."))
    assert scored.rewards.tolist() == [worth(templated("Yes."))]
    assert isinstance(server.seen[0].json["input_ids"][0], list)


async def test_plain_text(serve: Any, reply: Any, tokenizer: Any, calls: Any) -> None:
    async with serve(fakes.sglang(reply, tokenizer)) as server:
        scored = await load(server.url, text="plain")(*calls("Yes."))
    assert scored.rewards.tolist() == [worth(tokenizer("Is it raining?\nYes.")["input_ids"])]


def test_a_conversation_needs_a_tokenizer() -> None:
    with pytest.raises(InputError, match="give tokenizer") as told:
        load("http://127.0.0.1:1")
    assert told.value.field == "tokenizer"


async def test_probabilities_of_several_labels_are_refused(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    async with serve(fakes.sglang(reply, tokenizer, labels=2, active=True)) as server:
        with pytest.raises(RewardAnswerError, match=r"probabilities .* gives its logits"):
            await load(server.url, tokenizer=tokenizer, label=1)(*calls(*RESPONSES))


async def test_a_label_of_several(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any
) -> None:
    async with serve(fakes.sglang(reply, tokenizer, labels=2)) as server:
        scored = await load(server.url, tokenizer=tokenizer, label=1)(*calls(*RESPONSES))
    assert scored.rewards.tolist() == [worth(templated(text), 1) for text in RESPONSES]


async def test_a_server_that_cuts_in_silence_is_found_out(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    async with serve(fakes.sglang(reply, tokenizer, limit=80, cuts=True)) as server:
        with pytest.raises(RewardAnswerError, match="has cut response 1 to 80 of"):
            await load(server.url, tokenizer=tokenizer)(*calls("Yes.", "a" * 100))
        fitting = load(server.url, tokenizer=tokenizer, max_tokens=80, truncation="left")
        assert (await fitting(*calls("Yes.", "a" * 100))).truncated == (False, True)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([{"embedding": [1.0]}], "1 rewards came back for 2"),
        ([{"embedding": [1.0]}] * 3, "3 rewards came back for 2"),
        ([{"embedding": [1.0]}, {"embedding": [None]}], "response 1 is None"),
        ([{"embedding": [1.0]}, {"embedding": []}], "response 1 has no list"),
        ([{"embedding": [1.0]}, {}], "response 1 has no list"),
        ([{"embedding": [1.0]}, 1.0], "response 1 has no list"),
        ([], "0 rewards came back for 2"),
        ({"embedding": [1.0]}, "1 rewards came back for 2"),
    ],
)
async def test_nonsense_is_refused(
    serve: Any, reply: Any, tokenizer: Any, calls: Any, document: Any, named: str
) -> None:
    async with serve(lambda *_: reply(json.dumps(document).encode())) as server:
        with pytest.raises(RewardAnswerError, match=named):
            await load(server.url, tokenizer=tokenizer)(*calls("Yes.", "No."))
