"""TEI's /predict: pairs that are pairs, labels sorted by score, nothing cut unless told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prelogit.core.errors import InputError, RewardAnswerError, RewardUnavailableError
from prelogit.rewards.load import load_reward
from tests.rewards.servers import fakes
from tests.rewards.servers.fakes import worth

QUESTION = "Is it raining?"
RESPONSES = ["Yes.", "No.", "It pours!"]


def load(url: str, **options: Any) -> Any:
    quick = {"patience_seconds": 0.05, "first_wait_seconds": 0.001}
    return load_reward(url, protocol="tei", **{**quick, **options})


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_question_and_response_are_a_pair_and_texts_are_none(
    serve: Any, reply: Any, tokenizer: Any, calls: Any, count: int
) -> None:
    async with serve(fakes.tei(reply, tokenizer)) as server:
        pairs = await load(server.url)(*calls(*RESPONSES[:count]))
        texts = await load(server.url, text="response")(*calls(*RESPONSES[:count]))
    assert pairs.rewards.tolist() == [
        worth(tokenizer(QUESTION, text)["input_ids"]) for text in RESPONSES[:count]
    ]
    assert texts.rewards.tolist() == [
        worth(tokenizer(text)["input_ids"]) for text in RESPONSES[:count]
    ]


async def test_the_template_is_applied_here_and_bos_stands_once(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any
) -> None:
    async with serve(fakes.tei(reply, tokenizer)) as server:
        scored = await load(server.url, tokenizer=tokenizer)(*calls(*RESPONSES))
    assert scored.rewards.tolist() == [worth(templated(text)) for text in RESPONSES]
    assert scored.truncated == (False, False, False)
    assert not server.seen[0].json["inputs"][0][0].startswith("<s>")


async def test_bos_is_sent_where_the_tokenizer_adds_none(
    serve: Any, reply: Any, make_tokenizer: Any, templated: Any, calls: Any
) -> None:
    from tokenizers import processors

    silent = make_tokenizer()
    silent.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A $B"
    )
    async with serve(fakes.tei(reply, silent)) as server:
        scored = await load(server.url, tokenizer=silent)(*calls("Yes."))
    assert scored.rewards.tolist() == [worth(templated("Yes."))]


async def test_special_tokens_that_the_template_does_not_write_are_refused(
    make_tokenizer: Any, calls: Any
) -> None:
    from tokenizers import processors

    odd = make_tokenizer()
    odd.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A <pad>", special_tokens=[("<s>", 1), ("<pad>", 3)]
    )
    with pytest.raises(InputError, match="special tokens in response 0"):
        await load("http://127.0.0.1:1", tokenizer=odd)(*calls("Yes."))


async def test_labels_are_found_by_name_for_they_come_sorted(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    labels = ("bad", "good", "LABEL_2")
    async with serve(fakes.tei(reply, tokenizer, labels=labels)) as server:
        for label, place in (("bad", 0), ("good", 1), (2, 2), ("LABEL_2", 2)):
            scored = await load(server.url, label=label)(*calls(*RESPONSES))
            assert scored.rewards.tolist() == [
                worth(tokenizer(QUESTION, text)["input_ids"], place) for text in RESPONSES
            ]
        with pytest.raises(RewardAnswerError, match=r"3 labels: set label.*'bad', 'good'"):
            await load(server.url)(*calls(*RESPONSES))
        with pytest.raises(RewardAnswerError, match="no label 'best'"):
            await load(server.url, label="best")(*calls(*RESPONSES))


async def test_a_softmax_that_was_not_asked_for_is_refused(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    fake = fakes.tei(reply, tokenizer, labels=("bad", "good"), always_active=True)
    async with serve(fake) as server:
        with pytest.raises(RewardAnswerError, match="probabilities although raw"):
            await load(server.url, label="good")(*calls(*RESPONSES))
        allowed = load(server.url, label="good", activation=True)
        assert all(0 < one < 1 for one in (await allowed(*calls(*RESPONSES))).rewards.tolist())


async def test_labels_that_are_named_by_their_number(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    async with serve(fakes.tei(reply, tokenizer, labels=("0", "1"))) as server:
        for label in (1, "1"):
            scored = await load(server.url, label=label)(*calls("Yes."))
            assert scored.rewards.tolist() == [worth(tokenizer(QUESTION, "Yes.")["input_ids"], 1)]


async def test_an_activation_only_when_asked_for(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    async with serve(fakes.tei(reply, tokenizer)) as server:
        scored = await load(server.url, activation=True)(*calls("Yes."))
    raw = worth(tokenizer(QUESTION, "Yes.")["input_ids"])
    assert scored.rewards.tolist() == [fakes.sigmoid(raw)]


async def test_the_server_is_told_not_to_cut_and_its_refusal_is_passed_on(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    async with serve(fakes.tei(reply, tokenizer, limit=30)) as server:
        with pytest.raises(RewardAnswerError, match=r"413: `inputs` must have less than 30"):
            await load(server.url)(*calls("Yes.", "a" * 40))
        scored = await load(server.url, truncation="right")(*calls("Yes.", "a" * 40))
        await load(server.url, truncation="left")(*calls("Yes."))
    assert [request.json["truncate"] for request in server.seen] == [False, True, True]
    assert [request.json.get("truncation_direction") for request in server.seen] == [
        None,
        "right",
        "left",
    ]
    whole = tokenizer(QUESTION, "a" * 40)["input_ids"]
    assert scored.rewards.tolist()[1] == worth(whole[:30])
    assert scored.truncated is None  # which ones it cut, it does not say


@pytest.mark.parametrize("side", ["left", "right"])
async def test_templated_text_is_cut_here_and_its_closing_stays(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any, side: str
) -> None:
    async with serve(fakes.tei(reply, tokenizer, limit=60)) as server:
        reward = load(server.url, tokenizer=tokenizer, max_tokens=60, truncation=side)
        scored = await reward(*calls("No.", "a" * 100))
    sent = server.seen[0].json["inputs"][1][0]
    assert len(tokenizer(sent)["input_ids"]) == 60
    assert sent.endswith("a</s>")
    assert sent.startswith("<|user|>Hello.") is (side == "right")
    assert scored.truncated == (side == "left" and len(templated("No.")) > 60, True)


async def test_requests_are_no_larger_than_such_a_server_takes(
    serve: Any, reply: Any, tokenizer: Any, calls: Any
) -> None:
    responses = [str(place) for place in range(70)]
    async with serve(fakes.tei(reply, tokenizer)) as server:
        scored = await load(server.url)(*calls(*responses))
        assert scored.calls == 3
        with pytest.raises(RewardAnswerError, match="413: batch size 64 > maximum"):
            await load(server.url, items_per_request=64)(*calls(*responses))


async def test_overloaded_is_waited_out(serve: Any, reply: Any, tokenizer: Any, calls: Any) -> None:
    busy = reply(b'{"error":"Model is overloaded","error_type":"overloaded"}', 429)
    good = fakes.tei(reply, tokenizer)
    async with serve(lambda asked, n: busy if n < 3 else good(asked, n)) as server:
        scored = await load(server.url, patience_seconds=60.0)(*calls("Yes."))
    assert scored.rewards.tolist() == [worth(tokenizer(QUESTION, "Yes.")["input_ids"])]
    async with serve(lambda *_: busy) as server:
        with pytest.raises(RewardUnavailableError, match="429, Model is overloaded"):
            await load(server.url)(*calls("Yes."))


@pytest.mark.parametrize(
    ("status", "kind"), [(413, "validation"), (422, "tokenizer"), (424, "backend"), (400, "empty")]
)
async def test_its_other_errors_are_refusals(
    serve: Any, reply: Any, calls: Any, status: int, kind: str
) -> None:
    told = {"error": "score is NaN", "error_type": kind}
    async with serve(lambda *_: reply(json.dumps(told).encode(), status)) as server:
        with pytest.raises(RewardAnswerError, match=f"{status}: score is NaN.*response 0"):
            await load(server.url, patience_seconds=60.0)(*calls("Yes."))
    assert len(server.seen) == 1


async def test_a_refusal_in_plain_text_is_passed_on(serve: Any, reply: Any, calls: Any) -> None:
    told = reply(b"Failed to buffer the request body: length limit exceeded", 413, "text/plain")
    async with serve(lambda *_: told) as server:
        with pytest.raises(RewardAnswerError, match="413: Failed to buffer"):
            await load(server.url)(*calls("Yes."))


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([[{"score": 1.0, "label": "a"}]], "1 rewards came back for 2"),
        ([[{"score": 1.0, "label": "a"}], []], "response 1 is no list of scores"),
        ([[{"score": 1.0, "label": "a"}], [{"score": None, "label": "a"}]], "response 1 is None"),
        ([[{"score": 1.0, "label": "a"}], [{"score": 1.0}]], "response 1 is no list of scores"),
        (
            [[{"score": 1.0, "label": "a"}], [{"score": 1.0, "label": "a"}] * 2],
            "response 1 is no list of scores",
        ),
        ([{"score": 1.0, "label": "a"}, {"score": 2.0, "label": "b"}], "response 0 is no list"),
        ({"score": 1.0}, "0 rewards came back for 2"),
    ],
)
async def test_nonsense_is_refused(
    serve: Any, reply: Any, calls: Any, document: Any, named: str
) -> None:
    async with serve(lambda *_: reply(json.dumps(document).encode())) as server:
        with pytest.raises(RewardAnswerError, match=named):
            await load(server.url)(*calls("Yes.", "No."))


async def test_a_flat_list_is_taken_for_one_response(serve: Any, reply: Any, calls: Any) -> None:
    flat = reply(b'[{"score": 2.5, "label": "a"}]')
    async with serve(lambda *_: flat) as server:
        assert (await load(server.url)(*calls("Yes."))).rewards.tolist() == [2.5]
