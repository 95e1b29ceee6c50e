"""The reward of a job: hosted here by its name, or a server's URL; secrets stay out of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from prelogit.rewards.servers.protocols import PROTOCOLS
from prelogit.wire.reward import OPTIONS_OF, RewardRef, reward_body


def read(**fields: Any) -> RewardRef:
    return RewardRef.model_validate_json(json.dumps(fields))


def test_nothing_said_is_the_default_reward() -> None:
    reward = read()
    assert (reward.hosted, reward.shown) == ("relevance", "relevance")
    assert reward.model_dump(mode="json") == {"name": "relevance"}


def test_a_server_is_stored_as_it_was_told() -> None:
    told = {"url": "http://rm.example.com:8000/v1", "protocol": "tei", "label": 1, "key": "rm"}
    reward = read(**told)
    assert reward.model_dump(mode="json") == told
    assert read(**reward.model_dump(mode="json")) == reward
    assert reward.options == {"protocol": "tei", "label": 1}


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"url": "http://rm:80/x"}, "rm:80"),
        ({"url": "http://rm", "model": "org/rm"}, "org/rm"),
        ({"url": "http://rm", "model": "org/rm", "name": "mine"}, "mine"),
    ],
)
def test_what_results_call_a_server(fields: dict[str, str], shown: str) -> None:
    assert read(**fields).shown == shown


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"url": "http://user:hunter2@rm"}, "PRELOGIT_REWARD_KEYS"),
        ({"url": "http://hunter2@rm"}, "PRELOGIT_REWARD_KEYS"),
        ({"url": "http://rm/score?key=hunter2"}, "PRELOGIT_REWARD_KEYS"),
        ({"url": "ftp://rm"}, "http://127.0.0.1:8100"),
        ({"url": "rm:8000"}, "http://127.0.0.1:8100"),
        ({"url": "http://rm:0"}, "http://127.0.0.1:8100"),
        ({"url": "http://[::1"}, "http://127.0.0.1:8100"),
        ({"label": 1}, "label is of a reward server: give its url"),
        ({"name": "relevance", "key": "rm"}, "key is of a reward server: give its url"),
        ({"url": "http://rm", "protocol": "vllm"}, "vllm-classify"),
        ({"url": "http://rm", "truncation": "middle"}, "refuse"),
        ({"url": "http://rm", "label": -1}, "greater than or equal to 0"),
        ({"url": "http://rm", "lable": 1}, "Extra inputs"),
        ({"url": "http://rm", "label": 1}, "the protocol prelogit has no label: it has model"),
        ({"url": "http://rm", "protocol": "tei", "form": "grade"}, "has no form"),
        ({"url": "http://rm", "protocol": "judge"}, "give model"),
    ],
)
def test_what_is_refused_names_the_cure_and_no_secret(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(**fields)
    told = "; ".join(one["msg"] for one in refused.value.errors(include_input=False))
    assert word in told
    assert "hunter2" not in told


def test_one_text_names_a_reward_or_a_server() -> None:
    assert reward_body("relevance") == {"name": "relevance"}
    assert reward_body("http://rm:1/x") == {"url": "http://rm:1/x"}
    assert reward_body("sglang+http://rm:1?tokenizer=org/rm&max_tokens=512#org/m%23a") == {
        "url": "http://rm:1",
        "protocol": "sglang",
        "tokenizer": "org/rm",
        "max_tokens": 512,
        "model": "org/m#a",
    }
    assert (
        RewardRef.model_validate_json(json.dumps(reward_body("tei+https://rm?label=1"))).label == 1
    )


def test_the_options_of_each_protocol_are_those_of_its_client() -> None:
    for name, client in PROTOCOLS.items():
        if name != "prelogit":
            of_jobs = OPTIONS_OF[name]
            known = client.args[0].options  # type: ignore[attr-defined]
            assert of_jobs <= known
            assert known - of_jobs <= {"instructions", "body", "top_logprobs"}
