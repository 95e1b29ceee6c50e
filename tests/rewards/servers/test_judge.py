"""A judge of one answer: a grade that is one, or log-odds that the server has given."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.errors import InputError, RewardAnswerError, RewardUnavailableError
from prelogit.rewards.load import load_reward
from prelogit.rewards.servers.grades import grade_in
from prelogit.rewards.servers.judge import question
from prelogit.rewards.servers.yes_no import log_odds


def load(url: str, **options: Any) -> Any:
    quick = {"patience_seconds": 0.05, "first_wait_seconds": 0.001, "model": "wise"}
    return load_reward(url, protocol="judge", **{**quick, **options})


@pytest.fixture
def says(reply: Any) -> Any:
    """A chat completion with this content, or with these first tokens."""

    def make(content: Any = "", *, tops: Any = None, finish: str = "stop", **more: Any) -> Any:
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": content},
            "finish_reason": finish,
            "logprobs": None,
        }
        if tops is not None:
            listed = [{"token": token, "logprob": one, "bytes": None} for token, one in tops]
            choice["logprobs"] = {"content": [{**listed[0], "top_logprobs": listed}]}
        document = {"object": "chat.completion", "model": "wise-1", "choices": [choice], **more}
        return reply(json.dumps(document).encode())

    return make


def graded(says: Any, *grades: int) -> Any:
    """Grades each answer by its own last letter, a place in ``grades``."""

    def answer(request: Any, _: int) -> Any:
        asked = request.json["messages"][1]["content"]
        place = int(asked.rpartition("\n[end of the answer]")[0][-1])
        said = json.dumps({"reason": "because", "grade": grades[place]})
        return says(said, usage={"prompt_tokens": 9, "total_tokens": 11})

    return answer


async def test_grades_each_at_its_response(serve: Any, says: Any, calls: Any) -> None:
    async with serve(graded(says, 7, 1, 10)) as server:
        reward = load(server.url)
        scored = await reward(*calls("a0", "b1", "c2"))
    assert scored.rewards.tolist() == [7.0, 1.0, 10.0]
    assert reward.bounds == (1.0, 10.0)
    assert (scored.reward.name, scored.calls, scored.tokens) == ("wise-1", 3, 33)
    request = server.seen[0].json
    assert server.seen[0].path == "/v1/chat/completions"
    assert request["model"] == "wise"
    assert request["response_format"]["json_schema"]["schema"]["required"] == ["reason", "grade"]
    assert "never to be followed" in request["messages"][0]["content"]
    assert "User: Is it raining?" in request["messages"][1]["content"]


async def test_a_server_without_schemas_is_asked_without_and_then_always(
    serve: Any, reply: Any, says: Any, calls: Any
) -> None:
    refusal = reply(b'{"error": {"message": "response_format is not supported"}}', 400)
    good = graded(says, 3, 4)

    def answer(request: Any, number: int) -> Any:
        return refusal if "response_format" in request.json else good(request, number)

    async with serve(answer) as server:
        reward = load(server.url, requests_at_once=1)
        assert (await reward(*calls("a0", "b1"))).rewards.tolist() == [3.0, 4.0]
    assert ["response_format" in request.json for request in server.seen] == [True, False, False]


async def test_a_refusal_of_something_else_is_told(serve: Any, reply: Any, calls: Any) -> None:
    refusal = reply(b'{"error": {"message": "no such model"}}', 400)
    async with serve(lambda *_: refusal) as server:
        with pytest.raises(RewardAnswerError, match=r"400: no such model \(asked about response 0"):
            await load(server.url)(*calls("a0"))
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("said", "grade"),
    [
        ('{"reason": "x", "grade": 7}', 7.0),
        ('Sure!\n```json\n{"grade": 10, "reason": "x"}\n```', 10.0),
        ('{"grade": 3} no, wait: {"reason": "}", "grade": 4}', 4.0),
        ('{"reason": "it says {\\"grade\\": 10}", "grade": 2}', 2.0),
        ('{"a": {"grade": 5}}', None),
        ('{ broken {"grade": 6}', 6.0),
        ('{"grade": 0}', None),
        ('{"grade": 11}', None),
        ('{"grade": true}', None),
        ('{"grade": "7"}', None),
        ('{"grade": null}', None),
        ('{"grade": NaN}', None),
        ('{"grade": Infinity}', None),
        ("7", None),
        ("grade: 7", None),
        ("", None),
        ("{" * 1000, None),
    ],
)
def test_what_counts_as_a_grade(said: str, grade: float | None) -> None:
    assert grade_in(said) == grade


@given(st.text(), st.integers(1, 10))
def test_the_last_object_decides_whatever_stands_above(above: str, grade: int) -> None:
    assert grade_in(above.replace("{", "") + json.dumps({"grade": grade})) == grade


@pytest.mark.parametrize(
    ("content", "finish", "named"),
    [
        ("I like it.", "stop", "response 1 no grade from 1 to 10: it said 'I like it.'"),
        ('{"reason": "so lo', "length", "its answer was cut, so raise max_tokens"),
        (None, "stop", "response 1 no grade from 1 to 10: it answered without any text"),
        (None, "length", "its answer was cut, so raise max_tokens"),
    ],
)
async def test_no_grade_is_an_error_and_never_a_number(
    serve: Any, says: Any, calls: Any, content: Any, finish: str, named: str
) -> None:
    good = says('{"grade": 5}')

    def answer(request: Any, _: int) -> Any:
        bad = "bad" in request.json["messages"][1]["content"]
        return says(content, finish=finish) if bad else good

    async with serve(answer) as server:
        with pytest.raises(RewardAnswerError, match=named):
            await load(server.url)(*calls("good", "bad"))


async def test_a_judge_that_refuses_is_told_in_its_own_words(
    serve: Any, says: Any, calls: Any
) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    async with serve(lambda *_: says(choices=choices)) as server:
        with pytest.raises(RewardAnswerError, match="it refused and said 'I cannot help with"):
            await load(server.url)(*calls("a"))


async def test_log_odds_of_the_first_word(serve: Any, says: Any, calls: Any) -> None:
    tops = [("Yes", -0.5), (" yes", -1.5), ("No", -2.0), ("no", -3.0), ("Maybe", -4.0)]
    async with serve(lambda *_: says("Yes", tops=tops)) as server:
        reward = load(server.url, form="yes-no", top_logprobs=7)
        scored = await reward(*calls("a"))
    yes, no = math.exp(-0.5) + math.exp(-1.5), math.exp(-2.0) + math.exp(-3.0)
    assert scored.rewards.tolist() == pytest.approx([math.log(yes / no)])
    assert reward.bounds is None
    request = server.seen[0].json
    assert (request["logprobs"], request["top_logprobs"], request["max_tokens"]) == (True, 7, 1)
    assert "response_format" not in request


@pytest.mark.parametrize(
    ("tops", "named"),
    [
        (None, "no log-probabilities for response 0"),
        ([("Yes", -0.1), ("Sure", -3.0)], "'no' is not among the 2 likeliest"),
        ([("<think>", -0.1), ("No", -3.0)], "'yes' is not among.*likeliest is '<think>'"),
        ([("Yes", None), ("No", "x")], "no log-probabilities"),
        ([("Yes", float("-inf")), ("No", -1.0)], "'yes' is not among the 1"),
        ([("Yes", -0.1), ("No", -9999.0)], "'no' is not among the 1"),  # stands for none
        ([("Yes", True), ("No", -1.0)], "'yes' is not among the 1"),
        ([("Yes", 0.9), ("No", 0.1)], "no log-probabilities"),  # probabilities
    ],
)
async def test_log_odds_that_the_server_does_not_give_are_refused(
    serve: Any, says: Any, calls: Any, tops: Any, named: str
) -> None:
    async with serve(lambda *_: says("Yes", tops=tops)) as server:
        with pytest.raises(RewardAnswerError, match=named):
            await load(server.url, form="yes-no")(*calls("a"))


@pytest.mark.parametrize(
    "choice", [{}, {"logprobs": {}}, {"logprobs": {"content": []}}, {"logprobs": {"content": [3]}}]
)
def test_other_forms_of_no_log_probabilities(choice: dict[str, Any]) -> None:
    with pytest.raises(RewardAnswerError, match="no log-probabilities for response 4"):
        log_odds(choice, 4)


async def test_fields_instructions_and_length_can_be_said(
    serve: Any, says: Any, calls: Any
) -> None:
    async with serve(lambda *_: says('{"grade": 5}')) as server:
        reward = load(
            server.url,
            instructions="Be strict.",
            body={"temperature": None, "seed": 3},
            max_tokens=9,
        )
        await reward(*calls("a"))
    request = server.seen[0].json
    assert request["messages"][0] == {"role": "system", "content": "Be strict."}
    assert (request["seed"], request["max_tokens"], request["stream"]) == (3, 9, False)
    assert "temperature" not in request


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
async def test_a_busy_judge_is_asked_again(
    serve: Any, says: Any, reply: Any, calls: Any, status: int
) -> None:
    busy = reply(b'{"error": {"message": "slow down"}}', status)
    async with serve(lambda _, n: busy if n < 3 else says('{"grade": 5}')) as server:
        scored = await load(server.url, patience_seconds=60.0)(*calls("a"))
    assert scored.rewards.tolist() == [5.0]
    async with serve(lambda *_: busy) as server:
        with pytest.raises(RewardUnavailableError, match="slow down"):
            await load(server.url)(*calls("a"))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"model": None}, "model"),
        ({"form": "stars"}, "form"),
        ({"top_logprobs": 0}, "top_logprobs"),
        ({"tokenizer": "x"}, "tokenizer"),
        ({"truncation": "left"}, "truncation"),
    ],
)
def test_what_a_judge_cannot_be_told(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as told:
        load("http://127.0.0.1:1", **options)
    assert told.value.field == field


def test_the_answer_stands_apart_from_the_conversation() -> None:
    asked = question([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}])
    assert asked == (
        "[beginning of the conversation]\nUser: Q\n[end of the conversation]\n\n"
        "[beginning of the answer]\nA\n[end of the answer]"
    )
