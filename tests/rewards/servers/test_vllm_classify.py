"""vLLM's /classify: raw numbers, one BOS, each number at its response, nothing cut in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.rewards.load import load_reward
from tests.rewards.servers import fakes
from tests.rewards.servers.conftest import CONVERSATION
from tests.rewards.servers.fakes import worth

Templated = Callable[[str], list[int]]
RESPONSES = ["Yes.", "No.", "It pours!"]


def load(url: str, **options: Any) -> Any:
    quick = {"patience_seconds": 0.05, "first_wait_seconds": 0.001}
    return load_reward(url, protocol="vllm-classify", **{**quick, **options})


async def test_tokens_give_the_models_own_raw_numbers_in_one_request(
    serve: Any, reply: Any, tokenizer: Any, templated: Templated, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer)) as server:
        scored = await load(server.url, tokenizer=tokenizer)(*calls(*RESPONSES))
    assert scored.rewards.tolist() == [worth(templated(text)) for text in RESPONSES]
    assert scored.reward.name == "rm"
    assert scored.reward.fingerprint is None
    assert scored.truncated == (False, False, False)
    assert scored.tokens == sum(len(templated(text)) for text in RESPONSES)
    (request,) = server.seen
    assert request.json["use_activation"] is False
    assert "truncate_prompt_tokens" not in request.json


async def test_without_a_tokenizer_the_server_applies_its_template(
    serve: Any, reply: Any, tokenizer: Any, templated: Templated, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer)) as server:
        scored = await load(server.url)(*calls(*RESPONSES))
    assert scored.rewards.tolist() == [worth(templated(text)) for text in RESPONSES]
    assert scored.truncated == (False, False, False)
    assert scored.calls == 3
    said = [*CONVERSATION, {"role": "assistant", "content": "No."}]
    assert said in [request.json["messages"] for request in server.seen]


async def test_plain_text_and_the_response_alone(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer)) as server:
        plain = await load(server.url, text="plain")(*calls("Yes."))
        alone = await load(server.url, text="response")(*calls("Yes."))
    assert plain.rewards.tolist() == [worth(tokenizer("Is it raining?\nYes.")["input_ids"])]
    assert alone.rewards.tolist() == [worth(tokenizer("Yes.")["input_ids"])]


@pytest.mark.parametrize("disorder", [lambda data: data[::-1], lambda data: data[1:] + data[:1]])
async def test_answers_go_where_their_index_says(
    serve: Any, reply: Any, tokenizer: Any, templated: Templated, calls: Any, disorder: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, alter=disorder)) as server:
        scored = await load(server.url, tokenizer=tokenizer)(*calls(*RESPONSES))
    assert scored.rewards.tolist() == [worth(templated(text)) for text in RESPONSES]


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (lambda data: data[:2], "did not answer for response 2"),
        (lambda data: [data[0], data[0], data[2]], "twice for response 0"),
        (lambda data: [*data, data[1]], "twice for response 1"),
        (lambda data: [*data[:2], {**data[2], "index": 3}], "without an index from 0 to 2"),
        (lambda data: [*data[:2], {**data[2], "index": True}], "without an index"),
        (lambda data: [{"probs": one["probs"]} for one in data], "without an index"),
        (lambda data: [*data[:2], {**data[2], "probs": []}], "response 2 has no list"),
        (lambda data: [*data[:2], {**data[2], "probs": [float("nan")]}], "response 2 is nan"),
        (lambda data: [*data[:2], {**data[2], "probs": None}], "response 2 has no list"),
        (lambda data: [*data[:2], {**data[2], "probs": ["1.0"]}], "response 2 is '1.0'"),
        (lambda data: [], "did not answer for response 0"),
    ],
)
async def test_nonsense_is_refused_and_the_response_named(
    serve: Any, reply: Any, tokenizer: Any, calls: Any, alter: Any, named: str
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, alter=alter)) as server:
        with pytest.raises(RewardAnswerError, match=named):
            await load(server.url, tokenizer=tokenizer)(*calls(*RESPONSES))


async def test_the_place_of_a_bad_number_counts_through_all_requests(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    def last_missing(data: list[Any]) -> list[Any]:
        return data if len(data) == 2 else []

    async with serve(fakes.vllm(reply, tokenizer, alter=last_missing)) as server:
        with pytest.raises(RewardAnswerError, match="did not answer for response 2"):
            await load(server.url, tokenizer=tokenizer, items_per_request=2)(*calls(*RESPONSES))


async def test_one_of_several_labels_is_chosen_by_its_index(
    serve: Any, reply: Any, tokenizer: Any, templated: Templated, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, labels=3)) as server:
        scored = await load(server.url, tokenizer=tokenizer, label=2)(*calls(*RESPONSES))
        assert scored.rewards.tolist() == [worth(templated(text), 2) for text in RESPONSES]
        with pytest.raises(RewardAnswerError, match=r"3 numbers for response 0.*set label"):
            await load(server.url, tokenizer=tokenizer)(*calls(*RESPONSES))
        with pytest.raises(RewardAnswerError, match="no label 3"):
            await load(server.url, tokenizer=tokenizer, label=3)(*calls(*RESPONSES))


def test_a_label_by_name_cannot_be_read() -> None:
    with pytest.raises(InputError, match="index") as told:
        load("http://127.0.0.1:1", label="good")
    assert told.value.field == "label"


async def test_an_activation_only_when_asked_for(
    serve: Any, reply: Any, tokenizer: Any, templated: Templated, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer)) as server:
        active = load(server.url, tokenizer=tokenizer, activation=True)
        scored = await active(*calls("Yes."))
    assert scored.rewards.tolist() == [fakes.sigmoid(worth(templated("Yes.")))]
    assert active.bounds == (0.0, 1.0)
    assert load(server.url).bounds is None


async def test_a_server_that_cannot_leave_out_its_softmax_is_refused(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, labels=2, always_active=True)) as server:
        with pytest.raises(RewardAnswerError, match="probabilities although raw numbers"):
            await load(server.url, tokenizer=tokenizer, label=1)(*calls(*RESPONSES))
        allowed = load(server.url, tokenizer=tokenizer, label=1, activation=True)
        assert all(0 < one < 1 for one in (await allowed(*calls(*RESPONSES))).rewards.tolist())


async def test_what_is_too_long_is_refused_by_default_on_either_side(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer, limit=90)) as server:
        with pytest.raises(RewardAnswerError, match=r"maximum context length is 90.*response 1"):
            await load(server.url)(*calls("Yes.", "a" * 200))
        with pytest.raises(InputError, match=r"response 1 .* 90") as told:
            await load(server.url, tokenizer=tokenizer, max_tokens=90)(*calls("Yes.", "a" * 200))
    assert told.value.field == "responses[1]"


async def test_cut_on_this_side_keeps_the_template_and_is_told(
    serve: Any, reply: Any, tokenizer: Any, templated: Templated, calls: Any
) -> None:
    whole = templated("a" * 100)
    async with serve(fakes.vllm(reply, tokenizer, limit=60)) as server:
        left = await load(server.url, tokenizer=tokenizer, max_tokens=60, truncation="left")(
            *calls("No.", "a" * 100)
        )
        right = await load(server.url, tokenizer=tokenizer, max_tokens=60, truncation="right")(
            *calls("No.", "a" * 100)
        )
    assert left.rewards.tolist()[1] == worth([whole[0], *whole[-59:]])
    fitting = next(n for n in range(100, 0, -1) if len(templated("a" * n)) <= 60)
    assert right.rewards.tolist()[1] == worth(templated("a" * fitting))
    assert left.truncated == right.truncated == (False, True)


async def test_the_server_cuts_when_told_and_what_it_cut_is_flagged(
    serve: Any, reply: Any, tokenizer: Any, templated: Templated, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer)) as server:
        reward = load(server.url, truncation="left", max_tokens=60)
        scored = await reward(*calls("No.", "a" * 100))
        unknown = await load(server.url, truncation="left")(*calls("No.", "a" * 100))
    assert scored.rewards.tolist() == [
        worth(templated("No.")[-60:]),
        worth(templated("a" * 100)[-60:]),
    ]
    assert scored.truncated == (False, True)
    assert unknown.truncated is None
    sides = {request.json["truncation_side"] for request in server.seen}
    assert sides == {"left"}


async def test_another_model_and_its_error(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    async with serve(fakes.vllm(reply, tokenizer)) as server:
        assert (await load(f"{server.url}#rm")(*calls("Yes."))).reward.name == "rm"
        assert server.seen[-1].json["model"] == "rm"
        with pytest.raises(RewardAnswerError, match="404: The model `other` does not exist"):
            await load(server.url, model="other")(*calls("Yes."))


@pytest.mark.parametrize("place", ["", "/", "/v1", "/v1/", "/classify"])
async def test_the_url_may_end_as_openais_do(
    serve: Any, reply: Any, tokenizer: Any, calls: Any, place: str
) -> None:
    async with serve(fakes.vllm(reply, tokenizer)) as server:
        assert (await load(server.url + place)(*calls("Yes."))).calls == 1
