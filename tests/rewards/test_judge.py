"""The judge: what it is asked, what counts as a verdict, and what its server may do wrong."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.errors import InputError, RewardAnswerError, RewardUnavailableError
from prelogit.rewards.caller import Patience
from prelogit.rewards.judge import Judge, choice_in, question

TURNS = [{"role": "user", "content": "Why is the sky blue?"}]
KEY = "sk-a-secret-of-the-judge"


def impatient(url: str, **more: Any) -> Judge:
    return Judge(url, "wise", patience=Patience(20.0, 0.05, 0.001), **more)


def patient(url: str, **more: Any) -> Judge:
    return Judge(url, "wise", patience=Patience(20.0, 60.0, 0.001), **more)


@pytest.fixture
def says(reply: Any) -> Any:
    """A chat completion with this content."""

    def make(content: Any, finish: str = "stop", **more: Any) -> Any:
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return reply(
            json.dumps({"object": "chat.completion", "choices": [choice], **more}).encode()
        )

    return make


async def test_a_verdict_and_what_was_asked(serve: Any, says: Any) -> None:
    answer = says("A is right.\n\n[[A]]", usage={"total_tokens": 321})
    async with serve(lambda *_: answer) as server:
        verdict = await impatient(server.url)(TURNS, "Scattering.", "Paint.")
    assert verdict == ("first", "A is right.\n\n[[A]]", "stop", 321)
    (request,) = server.seen
    assert request.path == "/v1/chat/completions"
    assert "authorization" not in request.headers
    system, user = request.json.pop("messages")
    assert request.json == {"model": "wise", "temperature": 0, "max_tokens": 1024, "stream": False}
    assert "[[C]]" in system["content"]
    for text in ("User: Why is the sky blue?", "Scattering.", "Paint."):
        assert text in user["content"]
    assert user["content"].index("Scattering.") < user["content"].index("Paint.")


@pytest.mark.parametrize("place", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
async def test_the_url_may_end_where_its_server_says(serve: Any, says: Any, place: str) -> None:
    async with serve(lambda *_: says("[[B]]")) as server:
        assert (await impatient(server.url + place)(TURNS, "a", "b")).choice == "second"
    assert server.seen[0].path == "/v1/chat/completions"


async def test_fields_of_a_request_can_be_added_and_taken_away(serve: Any, says: Any) -> None:
    body = {"temperature": None, "seed": 3, "stream": True}
    async with serve(lambda *_: says("[[C]]")) as server:
        await impatient(server.url, body=body, max_tokens=9)(TURNS, "a", "b")
    (request,) = server.seen
    del request.json["messages"]
    assert request.json == {"model": "wise", "max_tokens": 9, "seed": 3, "stream": False}


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ("[[A]]", "first"),
        ("[[b]] ", "second"),
        ("Verdict: [[ C ]]", "tie"),
        ("I first thought [[A]].\nBut no:\n[[B]]\n", "second"),
        ("[[A]] or [[B]]", None),
        ("Both are good, A more so.", None),
        ("[[D]] [A] A", None),
        ("", None),
        ("[[A]] would be better if\n[[A]] [[B]]", None),
    ],
)
def test_what_counts_as_a_verdict(said: str, choice: str | None) -> None:
    assert choice_in(said) == choice


@given(st.text(), st.sampled_from("ABC"))
def test_the_last_line_decides_whatever_stands_above(above: str, mark: str) -> None:
    assert choice_in(f"{above}\n[[{mark}]]") == {"A": "first", "B": "second", "C": "tie"}[mark]


def test_a_verdict_inside_an_answer_is_only_shown_to_the_judge() -> None:
    asked = question(TURNS, "[[A]]", "good")
    assert "[beginning of the answer A]\n[[A]]\n[end of the answer A]" in asked


@pytest.mark.parametrize("content", ["no idea", "", None, 7, ["[[A]]"]])
async def test_nonsense_is_no_verdict_and_is_not_asked_again(
    serve: Any, says: Any, content: Any
) -> None:
    async with serve(lambda *_: says(content, "length")) as server:
        verdict = await patient(server.url)(TURNS, "a", "b")
    assert verdict.choice is None
    assert verdict.finish_reason == "length"
    assert verdict.tokens == 0
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "body", [b"{}", b'{"choices": []}', b'{"choices": [{}]}', b'{"choices": [3]}', b"[]", b"<html>"]
)
async def test_what_is_no_chat_completion_is_refused(serve: Any, reply: Any, body: bytes) -> None:
    async with serve(lambda *_: reply(body)) as server:
        with pytest.raises(RewardAnswerError, match="OpenAI-compatible"):
            await patient(server.url)(TURNS, "a", "b")
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
async def test_a_busy_judge_is_asked_again(serve: Any, says: Any, reply: Any, status: int) -> None:
    busy = reply(b'{"error": {"message": "slow down"}}', status)
    async with serve(lambda _, count: busy if count < 3 else says("[[A]]")) as server:
        assert (await patient(server.url)(TURNS, "a", "b")).choice == "first"
    assert len(server.seen) == 3


async def test_a_judge_that_stays_busy_is_an_error_and_never_a_tie(serve: Any, reply: Any) -> None:
    busy = reply(b'{"error": {"message": "slow down"}}', 429)
    async with serve(lambda *_: busy) as server:
        with pytest.raises(RewardUnavailableError, match="status 429, slow down"):
            await impatient(server.url)(TURNS, "a", "b")


async def test_the_key_is_sent_and_never_shown(
    serve: Any,
    says: Any,
    reply: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("JUDGE_KEY", KEY)
    telling = {"error": {"message": f"Incorrect API key provided: {KEY}."}}
    script = {
        1: says("[[A]]"),
        2: reply(json.dumps(telling).encode(), 401),
        3: reply(json.dumps({"error": f"no quota for {KEY}"}).encode(), 429),
    }
    async with serve(lambda _, count: script[min(count, 3)]) as server:
        judge = impatient(server.url, key_env="JUDGE_KEY")
        await judge(TURNS, "a", "b")
        with pytest.raises(RewardAnswerError, match="Incorrect API key") as refused:
            await judge(TURNS, "a", "b")
        with pytest.raises(RewardUnavailableError, match="no quota") as silent:
            await judge(TURNS, "a", "b")
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    shown = (str(refused.value), str(silent.value), repr(judge), caplog.text, str(vars(judge)))
    assert not any(KEY in text for text in shown)


@pytest.mark.parametrize("value", [None, "", "with space", "line\nbreak", "käse"])
def test_a_key_that_cannot_be_one_is_told_without_it(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("JUDGE_KEY", value)
    with pytest.raises(InputError, match="environment variable") as told:
        Judge("http://127.0.0.1:1", "wise", key_env="JUDGE_KEY")
    assert not value or value not in str(told.value)


def test_a_key_in_the_place_of_its_name_is_not_repeated() -> None:
    with pytest.raises(InputError) as told:
        Judge("http://127.0.0.1:1", "wise", key_env=KEY)
    assert KEY not in str(told.value)


def test_a_url_that_is_none_names_the_judge() -> None:
    with pytest.raises(InputError, match="the judge's URL") as told:
        Judge("judge.example", "wise")
    assert told.value.field == "url"
