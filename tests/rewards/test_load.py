"""From a name to a reward: protocols as an option and in one string."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prelogit.core.errors import InputError, RewardUnavailableError
from prelogit.rewards.load import load_reward
from prelogit.rewards.servers.reward import ServerReward
from prelogit.rewards.service import ServiceReward
from prelogit.wire.server_text import server_in

ASKED = [[{"role": "user", "content": "a?"}]]


@pytest.mark.parametrize(
    "made",
    [
        load_reward("http://127.0.0.1:1#short"),
        load_reward("http://127.0.0.1:1", protocol="prelogit", name="short"),
        load_reward("prelogit+http://127.0.0.1:1#short"),
        load_reward("HTTP://127.0.0.1:1#short"),
    ],
)
def test_a_bare_url_is_our_own_service(made: Any) -> None:
    assert isinstance(made, ServiceReward)
    assert made.name == "short"
    assert load_reward(made) is made


async def test_a_bare_url_has_options_too() -> None:
    reward = load_reward("http://127.0.0.1:9?patience_seconds=0&timeout_seconds=2.5#short")
    assert reward.name == "short"
    with pytest.raises(RewardUnavailableError, match="did not answer"):
        await reward(ASKED, ["x"])
    told = load_reward("http://127.0.0.1:9?text=plain", protocol="tei")
    assert isinstance(told, ServerReward)
    assert told.settings.text == "plain"


async def test_one_string_says_protocol_model_and_options(
    serve: Any, reply: Any, tmp_path: Any
) -> None:
    good = reply(json.dumps({"data": [{"index": 0, "score": 2.5}], "model": "my/ranker"}).encode())
    async with serve(lambda *_: good) as server:
        name = f"vllm-score+{server.url}?activation=true&items_per_request=3#my/ranker"
        reward = load_reward(name)
        scored = await reward(ASKED, ["x"])
    assert isinstance(reward, ServerReward)
    assert scored.rewards.tolist() == [2.5]
    assert server.seen[0].path == "/score"
    assert server.seen[0].json["model"] == "my/ranker"
    assert server.seen[0].json["use_activation"] is True
    assert load_reward(reward) is reward


def test_values_in_one_string() -> None:
    found = server_in("tei+https://u:p@host/x?label=2&max_tokens=9&patience_seconds=1.5&text=plain")
    assert found is not None
    assert found.protocol == "tei"
    assert found.url == "https://u:p@host/x"
    assert found.options == {"label": 2, "max_tokens": 9, "patience_seconds": 1.5, "text": "plain"}
    assert "p@" not in repr(found)
    assert server_in("tei+http://h?label=good").options == {"label": "good"}  # type: ignore[union-attr]
    assert server_in("http://host:1") is None
    assert server_in("module:callable") is None


@pytest.mark.parametrize(
    ("name", "options", "field", "cure"),
    [
        ("vllm-clasify+http://h", {}, "protocol", "did you mean 'vllm-classify'?"),
        ("http://h", {"protocol": "vllm"}, "protocol", "one of"),
        ("tei+http://h", {"protocol": "sglang"}, "protocol", "leave one of them out"),
        ("tei+http://h?max_tokens=many", {}, "max_tokens", "a number"),
        ("tei+http://h?activation=yes", {}, "activation", "true or false"),
        ("judge+http://h?body={}#m", {}, "body", "as an argument"),
        ("tei+http://h?lable=good", {}, "lable", "did you mean 'label'?"),
        ("http://h?patience=1", {}, "patience", "did you mean 'patience_seconds'?"),
        ("http://h?patience=", {}, "patience", "did you mean 'patience_seconds'?"),
        ("http://h?patience_seconds=soon#x", {}, "patience_seconds", "a number"),
        ("tei+http://", {}, "reward", "must look like"),
        ("tei+http://[h", {}, "reward", "must look like"),
        ("127.0.0.1:8000", {"protocol": "tei"}, "reward", "give its URL"),
    ],
)
def test_a_wrong_one_is_named_with_its_cure(
    name: str, options: dict[str, Any], field: str, cure: str
) -> None:
    with pytest.raises(InputError) as told:
        load_reward(name, **options)
    assert told.value.field == field
    assert cure in str(told.value)
