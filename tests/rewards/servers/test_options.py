"""Options of servers: a wrong one is named with its cure, before the first request."""

from __future__ import annotations

from typing import Any

import pytest

from prelogit.core.errors import InputError, ModelError
from prelogit.rewards.load import load_reward


@pytest.mark.parametrize(
    ("protocol", "options", "field", "cure"),
    [
        ("vllm-classify", {"modle": "x"}, "modle", "did you mean 'model'?"),
        ("vllm-classify", {"truncate": "left"}, "truncate", "did you mean 'truncation'?"),
        ("vllm-score", {"label": 1}, "label", "no option 'label'"),
        ("openrlhf", {"activation": True}, "activation", "no option 'activation'"),
        ("prelogit", {"patience_second": 3}, "patience_second", "'patience_seconds'?"),
        ("prelogit", {"tokenizer": "x"}, "tokenizer", "no option 'tokenizer'"),
        ("tei", {"truncation": "both"}, "truncation", "'refuse' or 'left' or 'right'"),
        ("tei", {"text": "html"}, "text", "'chat' or 'plain' or 'response'"),
        ("vllm-classify", {"max_tokens": 0}, "max_tokens", "from 1"),
        ("vllm-classify", {"max_tokens": True}, "max_tokens", "from 1"),
        ("vllm-classify", {"items_per_request": 1.5}, "items_per_request", "from 1"),
        ("vllm-classify", {"timeout_seconds": "3"}, "timeout_seconds", "seconds"),
        ("vllm-classify", {"patience_seconds": float("nan")}, "patience_seconds", "seconds"),
        ("vllm-classify", {"label": -1}, "label", "from 0"),
        ("vllm-classify", {"label": True}, "label", "from 0"),
        ("vllm-classify", {"max_tokens": 9}, "max_tokens", "give tokenizer"),
        ("vllm-classify", {"truncation": "right"}, "truncation", "where the score is read"),
        ("tei", {"truncation": "left", "max_tokens": 9}, "max_tokens", "leave out max_tokens"),
        ("sglang", {"text": "plain", "truncation": "left"}, "truncation", "cannot be told"),
        ("infinity", {"truncation": "left"}, "truncation", "cannot be told"),
    ],
)
def test_a_wrong_option_is_named_with_its_cure(
    protocol: str, options: dict[str, Any], field: str, cure: str
) -> None:
    with pytest.raises(InputError) as told:
        load_reward("http://127.0.0.1:1", protocol=protocol, **options)
    assert told.value.field == field
    assert cure in str(told.value)


def test_a_tokenizer_that_cannot_be_had(tmp_path: Any) -> None:
    with pytest.raises(ModelError, match=r"the tokenizer .* cannot be loaded"):
        load_reward("http://127.0.0.1:1", protocol="sglang", tokenizer=str(tmp_path))


async def test_a_tokenizer_by_its_folder(
    serve: Any, reply: Any, tokenizer: Any, templated: Any, calls: Any, tmp_path: Any
) -> None:
    from tests.rewards.servers import fakes

    tokenizer.save_pretrained(tmp_path)
    async with serve(fakes.sglang(reply, tokenizer)) as server:
        reward = load_reward(server.url, protocol="sglang", tokenizer=str(tmp_path))
        scored = await reward(*calls("Yes."))
    assert scored.rewards.tolist() == [fakes.worth(templated("Yes."))]
