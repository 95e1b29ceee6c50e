"""A job that comes as lines: what it is taken for, what is refused, and what it does not hold up."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.jobs.sent import LONGEST_LINE
from tests.api.conftest import Start
from tests.api.keyed import bearing, make_key
from tests.api.running import Running, eventually

LINES = "application/x-ndjson"


def posted(
    gateway: Running, content: bytes | Iterator[bytes], path: str = "/v1/jobs", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.client.post(path, content=content, headers={"Content-Type": LINES} | named)


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_lines_mean_the_same_job_as_json(gateway: Running) -> None:
    settings = {"seed": 3, "budget": {"samples": 640}, "baselines": [{"name": "bon"}]}
    prompts: list[Any] = [
        "one two",
        {"id": "p1", "prompt": "takes the first one's name"},
        {"messages": [{"role": "user", "content": "three \u2028 é"}]},
    ]
    whole = gateway.post({**settings, "prompts": prompts}, Idempotency_Key="k").json()
    assert [item["id"] for item in whole["request"]["prompts"]] == ["p1_", "p1", "p3"]
    again = posted(gateway, lines(settings, *prompts), Idempotency_Key="k")
    assert again.status_code == 202, again.text
    assert again.headers["location"] == whole["links"]["self"]
    other = posted(gateway, lines(settings, *prompts, "more"), Idempotency_Key="k")
    assert [error["field"] for error in other.json()["errors"]] == ["Idempotency-Key"]
    # A byte order mark, other line ends, blank lines and no end of the last one: still the same.
    windows = b"\xef\xbb\xbf\r\n" + lines(settings, *prompts).replace(b"\n", b"\r\n \r\n").rstrip()
    answer = posted(gateway, windows, Content_Type="application/jsonl; charset=utf-8").json()
    assert answer["id"] != whole["id"]
    for field in ("request", "counts", "usage"):
        assert answer[field] == whole[field]
    estimates = [
        posted(gateway, lines(settings, *prompts), "/v1/jobs/estimate").json(),
        gateway.client.post("/v1/jobs/estimate", json={**settings, "prompts": prompts}).json(),
    ]
    assert estimates[0] == estimates[1]
    assert estimates[0]["prompts"] == 3


WRONG: list[tuple[bytes, dict[str, str]]] = [
    (b"", {"body": "the first line is the job"}),
    (b"\n\n", {"body": "holds nothing"}),
    (b"{}\n \n", {"prompts": "no line follows"}),
    (lines("a", "b"), {"body": "line 1 is a prompt"}),
    (lines({"prompt": "a"}), {"body": "line 1 is a prompt"}),
    (lines([{}, "a"]), {"body": "line 1 is no JSON object"}),
    (b"{\n" + lines("a"), {"body": "line 1 is not valid JSON"}),
    (lines({"prompts": ["a"]}, "b"), {"prompts": "stands in line 1"}),
    (lines({"sed": 1, "metod": {}}, "b"), {"sed": "did you mean 'seed'", "metod": "'method'"}),
    (lines({"seed": "x"}, {"promt": "b"}), {"seed": "whole number", "prompts.0.promt": "(line 2)"}),
    (lines({"model": "other"}, "b"), {"model": "not offered"}),
    (lines({"budget": {"samples": 3}}, "b", "c"), {"budget": "each of 2 prompts"}),
    (b'{}\n"a"\n\n{"prompt": "b"\n"c"', {"prompts.1": "not valid JSON"}),
    (b'{}\n"a"\n\n{"prompt": "b"\n"c"', {"prompts.1": "(line 4)"}),
    (b'{}\n"a"\n"\xff"\n', {"prompts.1": "not UTF-8"}),
    (b'{}\n"a"\n"\\ud800"\n', {"prompts.1": "hex escape at column 8 (line 3)"}),
    (b'{}\n"a"\n\xef\xbb\xbf"b"\n', {"prompts.1": "byte order mark"}),
    (b'{}\n"a"\n"b', {"prompts.1": "not valid JSON"}),
    (lines({}, "a", "w " * 300), {"prompts.1": "302 tokens"}),
    (lines({}, "a", ""), {"prompts.1": "must not be empty"}),
    (lines({}, "a", {"messages": [{"role": "user"}]}), {"prompts.1.messages.0.content": "line 3"}),
    (lines({}, "a", {"messages": [{}] * 21000}), {"prompts.1": "JSON values"}),
    (lines({}, "a", 3, None), {"prompts.1": "must be a text", "prompts.2": "(line 4)"}),
    (
        lines({}, {"id": "x", "prompt": "a"}, *["b"] * 700, {"id": "x", "prompt": "a"}),
        {"prompts.701.id": "stands in prompts.0 too"},
    ),
    (lines({}, *[1] * 30), {f"prompts.{place}": "text" for place in range(20)}),
    (lines({}, *[1] * 3000), {"body": "too many to list"}),
    (lines({}) + b'"' + b"x" * LONGEST_LINE + b'"\n"b"\n3\n', {"prompts.0": "more than", "prompts.2": "(line 4)"}),
]  # fmt: skip


def test_what_is_wrong_is_named_with_its_line(gateway: Running) -> None:
    for content, told in WRONG:
        answer = posted(gateway, content)
        assert answer.status_code == 422, (content[:100], answer.text)
        problem = answer.json()
        found = {error["field"]: error["message"] for error in problem["errors"]}
        assert found.keys() == told.keys(), (content[:100], found)
        for field, part in told.items():
            assert part in found[field], (content[:100], found)
        estimate = posted(gateway, content, "/v1/jobs/estimate")
        assert estimate.json()["problems"][: len(problem["errors"])] == problem["errors"]
    assert gateway.get("/v1/jobs").json()["data"] == []


def test_limits_of_the_installation_and_of_a_key_hold(start: Start) -> None:
    gateway = start(api_keys_required=True, max_prompts=5, max_stream_bytes=2000)
    key = bearing(make_key(gateway, unfinished_prompts=3).key)
    for content, status, told in (
        (lines({}, *["a"] * 4), 422, "at most 3"),
        (lines({}, *["a"] * 6), 422, "more than 5 prompts"),
        (lines({}, *["a"] * 2), 202, ""),
        (lines({}, *["a"] * 2), 429, "wait or run"),
        (lines({}, "a" * 2000), 413, "PRELOGIT_MAX_STREAM_BYTES"),
    ):
        answer = posted(gateway, content, **key)
        assert answer.status_code == status, answer.text
        assert told in answer.text
    assert posted(gateway, iter([b"{}\n", *[b'"abcdef"\n'] * 300]), **key).status_code == 413
    refused = posted(gateway, b"{}", Content_Type="text/plain", **key)
    assert refused.status_code == 415
    assert LINES in refused.text
    assert posted(gateway, lines({}, "a"), "/v1/keys", **key).status_code == 403
    admin = bearing(make_key(gateway, scopes=["admin"]).key)
    assert posted(gateway, lines({}, "a"), "/v1/keys", **admin).status_code == 415


def test_while_lines_come_in_others_are_answered(gateway: Running) -> None:
    seen = []

    def content() -> Iterator[bytes]:
        yield lines({"max_new_tokens": 8})
        with httpx.Client(base_url=gateway.client.base_url) as other:
            for number in range(3):
                yield lines(*[f"{number} {place}" for place in range(300)])
                seen.append(other.get("/v1/jobs").json()["data"])

    answer = posted(gateway, content())
    assert answer.json()["counts"]["total"] == 900
    assert seen == [[]] * 3  # and there is no job before all of it is there


@pytest.mark.parametrize("encoding", ["chunked", "length"])
def test_a_body_that_breaks_off_leaves_nothing(gateway: Running, encoding: str) -> None:
    sent = lines({"max_new_tokens": 8}, "a", "b")
    host, port = gateway.client.base_url.host, gateway.client.base_url.port
    length = f"Content-Length: {len(sent) + 4}"
    how = "Transfer-Encoding: chunked" if encoding == "chunked" else length
    body = sent if encoding == "length" else b"%x\r\n%s\r\n" % (len(sent), sent)
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: {LINES}\r\n{how}\r\n\r\n"
    with socket.create_connection((host, port)) as connection:
        connection.sendall(head.encode() + body)
    refused = 'prelogit_gateway_requests_total{method="POST",route="/v1/jobs",status="400"}'
    eventually(lambda: refused in gateway.get("/metrics").text)
    assert gateway.get("/v1/jobs").json()["data"] == []
