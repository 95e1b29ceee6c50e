"""Posting many prompts: they go as lines, are read once, and nothing is posted of half of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from prelogit import AsyncClient, Client
from prelogit.client.body import WHOLE_BYTES, WHOLE_PROMPTS, job_body
from prelogit.core.errors import InputError, ServiceError
from prelogit.wire.jobs import PromptItem, Stop
from prelogit.wire.params import AISP
from tests.client.gateway import Gateway

MANY = WHOLE_PROMPTS + 1


def texts(count: int) -> Iterator[str]:
    return (f"prompt {number} \u2028 é" for number in range(count))


def sent(prompts: Any, **fields: Any) -> tuple[str, bytes]:
    with job_body(prompts, fields) as body:
        content = body.content if isinstance(body.content, bytes) else body.content.read()
        return body.media_type, content


def test_few_prompts_go_as_json_and_many_as_lines() -> None:
    fields = {"reward": "relevance", "method": AISP(n=4), "stop": Stop(plateau=2)}
    kind, content = sent(texts(2), **fields)
    assert kind == "application/json"
    whole = json.loads(content)
    assert whole["prompts"] == list(texts(2))
    kind, content = sent(texts(MANY), **fields)
    assert kind == "application/x-ndjson"
    first, *rest = (json.loads(line) for line in content.decode().rstrip("\n").split("\n"))
    assert rest == list(texts(MANY))
    assert first == {name: told for name, told in whole.items() if name != "prompts"}
    assert json.loads(sent("alone")[1]) == {"prompts": ["alone"]}
    assert json.loads(sent(PromptItem(prompt="a"))[1]) == {"prompts": [{"prompt": "a"}]}
    assert json.loads(sent([], seed=1)[1]) == {"prompts": [], "seed": 1}
    assert sent(["x" * WHOLE_BYTES])[0] == "application/x-ndjson"


async def test_many_prompts_are_posted_from_an_iterator(client: Client, gateway: Gateway) -> None:
    handle = client.submit(texts(MANY), idempotency_key="k", seed=3)
    assert handle.job.counts.total == MANY
    assert handle.job.request["prompts_shown"] == WHOLE_PROMPTS
    assert [prompt.item.prompt for prompt in handle.prompts()] == list(texts(MANY))
    async with AsyncClient(gateway.url) as other:
        again = await other.submit(texts(MANY), idempotency_key="k", seed=3)
        assert again.id == handle.id
        told = await other.estimate(texts(MANY))
        assert (told["prompts"], told["problems"]) == (MANY, [])
        found = [prompt.prompt_id async for prompt in again.prompts()]
        assert found == [f"p{place}" for place in range(1, MANY + 1)]
        assert (await again.prompt("p7")).index == 6
    with pytest.raises(ServiceError, match=r"prompts\.1001\.promt.*line 1,003"):
        client.submit([*texts(MANY), {"promt": "a"}])


def test_of_prompts_that_fail_in_the_middle_nothing_is_posted(client: Client) -> None:
    def failing() -> Iterator[Any]:
        yield from texts(MANY)
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="gone"):
        client.submit(failing())
    with pytest.raises(InputError, match="surrogate"):
        client.submit([*texts(MANY), "\ud800"])
    assert list(client.jobs()) == []
