"""The page's table of servers: every row, run against a server of its kind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from prelogit.rewards.load import load_reward
from prelogit.rewards.servers.protocols import PROTOCOLS
from tests.rewards.servers import fakes
from tests.rewards.servers.conftest import CONVERSATION

PAGE = (Path(__file__).parents[3] / "docs" / "rewards.md").read_text(encoding="utf-8")
SECTION = PAGE.split("\n## A server that you already run\n")[1].split("\n## ")[0]
ROWS = re.findall(r"^\|[^|]+\| `(load_reward\(.+\))` \|$", SECTION, re.MULTILINE)


def protocol_of(row: str) -> str:
    named = re.search(r'protocol="([\w-]+)"|"([\w-]+)\+http', row)
    return (named[1] or named[2]) if named else "prelogit"


def anything(reply: Any, request: Any) -> Any:
    """Our own service, or a judge that grades and answers Yes."""
    if request.path == "/v1/score":
        return reply(b'{"scores": [1.5]}')
    tops = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -2.5}]
    choice = {
        "message": {"role": "assistant", "content": '{"grade": 7}'},
        "logprobs": {"content": [{**tops[0], "top_logprobs": tops}]},
    }
    return reply(json.dumps({"choices": [choice]}).encode())


def test_the_table_has_every_protocol() -> None:
    assert {protocol_of(row) for row in ROWS} == set(PROTOCOLS)


@pytest.mark.parametrize("row", ROWS)
async def test_a_row_scores(
    serve: Any,
    reply: Any,
    tokenizer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    row: str,
) -> None:
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.setenv("API_KEY", "k")
    servers = {
        "vllm": lambda: fakes.vllm(reply, tokenizer, model=str(tmp_path)),
        "sglang": lambda: fakes.sglang(reply, tokenizer),
        "tei": lambda: fakes.tei(reply, tokenizer),
        "openrlhf": lambda: fakes.openrlhf(reply, tokenizer),
        "infinity": lambda: fakes.infinity(reply, model=str(tmp_path)),
    }
    kind = protocol_of(row).partition("-")[0]
    answer = servers[kind]() if kind in servers else lambda request, _: anything(reply, request)
    async with serve(answer) as server:
        written = re.sub(r"https?://[\w.]+(:\d+)?", server.url, row)
        written = written.replace("MODEL", str(tmp_path))
        reward = eval(written, {"load_reward": load_reward})
        scored = await reward([CONVERSATION], ["Yes."])
    assert scored.rewards.shape == (1,)
    assert len(server.seen) == 1


def test_the_page_names_the_options_that_there_are() -> None:
    from prelogit.rewards.servers.options import OF_ALL
    from prelogit.rewards.servers.protocols import SERVERS

    table = SECTION.split("### Options")[1].split("###")[0]
    told = {
        name
        for line in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", line)
    }
    seconds_between = {"first_wait_seconds", "longest_wait_seconds"}  # as ServiceReward has them
    real = OF_ALL.union(*(server.PROTOCOL.options for server in SERVERS)) - seconds_between
    assert told == real
