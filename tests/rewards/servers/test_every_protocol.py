"""What holds of every server, whatever it speaks: patience, order, secrets, odd texts."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from prelogit.core.errors import InputError, RewardAnswerError, RewardUnavailableError
from prelogit.rewards.load import load_reward
from prelogit.rewards.servers.protocols import PROTOCOLS, SERVERS
from tests.rewards.servers.fakes import letters, worth

KEY = "sk-a-secret-of-the-server"
OPTIONS: dict[str, dict[str, Any]] = {
    "vllm-classify": {"text": "plain"},
    "vllm-pooling": {"text": "plain"},
    "vllm-score": {},
    "sglang": {"text": "plain"},
    "tei": {},
    "openrlhf": {"text": "plain"},
    "infinity": {},
    "judge": {"model": "wise"},
}
BATCHED = [name for name in OPTIONS if name != "judge"]
every = pytest.mark.parametrize("protocol", OPTIONS)
every_batched = pytest.mark.parametrize("protocol", BATCHED)


def load(protocol: str, url: str, **options: Any) -> Any:
    quick = {"patience_seconds": 0.05, "first_wait_seconds": 0.001, "timeout_seconds": 20.0}
    return load_reward(url, protocol=protocol, **{**OPTIONS[protocol], **quick, **options})


def texts_of(protocol: str, body: dict[str, Any]) -> list[str]:
    """The responses that a request asks about."""
    if protocol == "judge":
        return [body["messages"][1]["content"].split("[beginning of the answer]\n")[1][:-20]]
    if protocol == "tei":
        return [pair[1] for pair in body["inputs"]]
    name = {"vllm-score": "text_2", "sglang": "text", "openrlhf": "query", "infinity": "documents"}
    texts = body[name.get(protocol, "input")]
    return texts if protocol in ("vllm-score", "infinity") else [t.split("\n", 1)[1] for t in texts]


def answer_with(protocol: str, values: list[Any], **more: Any) -> Any:
    """A good answer of the protocol, if the values are good."""
    places = list(enumerate(values))
    if protocol == "judge":
        said = {"role": "assistant", "content": json.dumps({"grade": values[0]})}
        return {"choices": [{"message": said}], **more}
    if protocol == "sglang":
        return [{"embedding": [value]} for value in values]
    if protocol == "tei":
        return [[{"score": value, "label": "LABEL_0"}] for value in values]
    if protocol == "openrlhf":
        return {"rewards": values}
    if protocol == "infinity":
        results = [{"index": place, "relevance_score": value} for place, value in places]
        return {"results": results, **more}
    form: dict[str, Callable[[Any], dict[str, Any]]] = {
        "vllm-classify": lambda value: {"probs": [value], "num_classes": 1},
        "vllm-pooling": lambda value: {"data": [value]},
        "vllm-score": lambda value: {"score": value},
    }
    return {"data": [{"index": place, **form[protocol](value)} for place, value in places], **more}


def good(protocol: str, reply: Any) -> Callable[..., Any]:
    """Answers with what each response's text is worth; a judge with its length up to 10."""

    def answer(request: Any, _: int) -> Any:
        texts = texts_of(protocol, request.json)
        values = [value_of(protocol, text) for text in texts]
        return reply(json.dumps(answer_with(protocol, values)).encode())

    return answer


def value_of(protocol: str, text: str) -> float:
    return min(max(len(text), 1), 10) if protocol == "judge" else worth(letters(text))


def asking(*responses: str) -> tuple[list[Any], list[str]]:
    return [[{"role": "user", "content": "Rain?"}] for _ in responses], list(responses)


def test_all_protocols_are_here() -> None:
    assert (
        set(PROTOCOLS)
        == {*OPTIONS, "prelogit"}
        == {
            "prelogit",
            *(server.PROTOCOL.name for server in SERVERS),
        }
    )


@every
async def test_many_responses_in_parts_come_back_in_order(
    serve: Any, reply: Any, protocol: str
) -> None:
    responses = [f"number {place * place}" for place in range(50)]
    async with serve(good(protocol, reply)) as server:
        scored = await load(protocol, server.url, items_per_request=7)(*asking(*responses))
    assert scored.rewards.tolist() == [value_of(protocol, text) for text in responses]
    assert scored.calls == len(server.seen) == (50 if protocol == "judge" else 8)


@every
async def test_odd_texts_arrive_whole(serve: Any, reply: Any, protocol: str) -> None:
    responses = [
        "x" * 10_000,
        "",
        "Grüße, 世界 \U0001f600",
        "half \ud800 a pair",
        "\x00\n\t",
        "[[A]]",
    ]
    async with serve(good(protocol, reply)) as server:
        scored = await load(protocol, server.url)(*asking(*responses))
    sent = [text for request in server.seen for text in texts_of(protocol, request.json)]
    expected = [text.replace("\ud800", "?") for text in responses]
    assert sorted(sent) == sorted(expected)
    assert scored.rewards.tolist() == [value_of(protocol, text) for text in expected]


@every
async def test_no_responses_are_no_requests(serve: Any, reply: Any, protocol: str) -> None:
    async with serve(good(protocol, reply)) as server:
        scored = await load(protocol, server.url)([], [])
    assert scored.rewards.tolist() == []
    assert server.seen == []


@every
async def test_ties_are_answers(serve: Any, reply: Any, protocol: str) -> None:
    def tied(request: Any, _: int) -> Any:
        values = [1 for _ in texts_of(protocol, request.json)]
        return reply(json.dumps(answer_with(protocol, values)).encode())

    async with serve(tied) as server:
        scored = await load(protocol, server.url)(*asking("a", "b", "c"))
    assert scored.rewards.tolist() == [1.0, 1.0, 1.0]


@every_batched
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None, "1.0", True, {}])
async def test_what_is_no_number_is_refused_by_its_place(
    serve: Any, reply: Any, protocol: str, bad: Any
) -> None:
    def answer(request: Any, _: int) -> Any:
        values = [bad if text == "r3" else 1.0 for text in texts_of(protocol, request.json)]
        return reply(json.dumps(answer_with(protocol, values)).encode())

    async with serve(answer) as server:
        with pytest.raises(RewardAnswerError, match=rf"{server.url}: .*response 3 is "):
            await load(protocol, server.url, items_per_request=2)(*asking("r0", "r1", "r2", "r3"))


@every_batched
@pytest.mark.parametrize("change", [lambda values: values[:-1], lambda values: [*values, 1.0]])
async def test_another_count_is_refused(
    serve: Any, reply: Any, protocol: str, change: Callable[[list[float]], list[float]]
) -> None:
    def answer(request: Any, _: int) -> Any:
        values = change([1.0 for _ in texts_of(protocol, request.json)])
        return reply(json.dumps(answer_with(protocol, values)).encode())

    async with serve(answer) as server:
        with pytest.raises(RewardAnswerError):
            await load(protocol, server.url)(*asking("a", "b", "c"))


@every
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>hello</html>", "text/html"),
        (b"not json", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"{}", "application/json"),
        (b"[]", "application/json"),
        (b"3.0", "application/json"),
        (b"null", "application/json"),
        (b'{"data": "12", "results": {}, "rewards": null, "choices": 3}', "application/json"),
        (b'{"data": [1], "results": [[]], "rewards": [{}], "choices": [4]}', "application/json"),
    ],
)
async def test_an_answer_of_another_kind_is_refused_at_once(
    serve: Any, reply: Any, protocol: str, body: bytes, kind: str
) -> None:
    async with serve(lambda *_: reply(body, content_type=kind)) as server:
        with pytest.raises(RewardAnswerError):
            await load(protocol, server.url, patience_seconds=60.0)(*asking("a"))
    assert len(server.seen) == 1


@every
async def test_a_server_that_dies_and_comes_back_is_waited_for(
    serve: Any, reply: Any, protocol: str
) -> None:
    script = {
        1: reply(breaks=True),
        2: reply(hangs=True),
        3: reply(b"<html>loading</html>", 503, "text/html"),
    }
    back = good(protocol, reply)
    async with serve(lambda asked, n: script.get(n) or back(asked, n)) as server:
        reward = load(protocol, server.url, patience_seconds=60.0, timeout_seconds=0.3)
        scored = await reward(*asking("a"))
    assert scored.rewards.tolist() == [value_of(protocol, "a")]
    assert len(server.seen) == 4


@every
async def test_silence_ends_as_unavailable_and_never_as_a_number(
    serve: Any, reply: Any, protocol: str
) -> None:
    async with serve(lambda *_: reply(hangs=True)) as server:
        with pytest.raises(RewardUnavailableError, match=f"the {protocol} server at {server.url}"):
            await load(protocol, server.url, timeout_seconds=0.1)(*asking("a"))


@every
async def test_a_redirect_is_not_followed(serve: Any, reply: Any, protocol: str) -> None:
    away = reply(b"", 307, "text/html", headers=("location: http://127.0.0.1:9/",))
    async with serve(lambda *_: away) as server:
        with pytest.raises(RewardAnswerError, match="307"):
            await load(protocol, server.url)(*asking("a"))


@every
async def test_the_key_is_sent_and_never_shown(
    serve: Any,
    reply: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("REWARD_KEY", KEY)
    forms = [
        reply(json.dumps({"error": {"message": f"Incorrect key {KEY}"}}).encode(), 401),
        reply(json.dumps({"error": f"no quota for {KEY}", "error_type": "x"}).encode(), 429),
        reply(f"who is {KEY}?".encode(), 403, "text/plain"),
        reply(json.dumps({"detail": [{"loc": ["x"], "msg": f"bad {KEY}"}]}).encode(), 404),
    ]
    first = good(protocol, reply)
    shown = []
    left = [None, *forms]
    async with serve(lambda asked, n: left.pop(0) or first(asked, n)) as server:
        reward = load(protocol, server.url, key_env="REWARD_KEY", patience_seconds=0.0)
        await reward(*asking("a"))
        for _ in forms:
            with pytest.raises((RewardAnswerError, RewardUnavailableError)) as told:
                await reward(*asking("a"))
            shown.append(str(told.value))
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    for text, said in zip(shown, ("Incorrect key", "no quota", "who is", "x: bad"), strict=True):
        assert said in text
    assert KEY not in "".join([*shown, repr(reward), caplog.text, str(vars(reward))])


@every
def test_a_key_that_is_not_set_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.delenv("REWARD_KEY", raising=False)
    with pytest.raises(InputError, match="the reward's key is not set"):
        load(protocol, "http://127.0.0.1:1", key_env="REWARD_KEY")


@pytest.mark.parametrize("protocol", ["vllm-classify", "vllm-score", "infinity", "judge"])
async def test_two_models_in_one_call_are_refused(serve: Any, reply: Any, protocol: str) -> None:
    def mixed(request: Any, number: int) -> Any:
        values = [1 for _ in texts_of(protocol, request.json)]
        named = answer_with(protocol, values, model=f"m{number % 2}")
        return reply(json.dumps(named).encode())

    async with serve(mixed) as server:
        with pytest.raises(RewardAnswerError, match=r"two different models .*'m0', 'm1'"):
            await load(protocol, server.url, items_per_request=1)(*asking("a", "b"))
        one = await load(protocol, server.url)(*asking("a"))
    assert one.reward.name in ("m0", "m1")


@every
async def test_concurrent_calls_each_get_their_own(serve: Any, reply: Any, protocol: str) -> None:
    async with serve(good(protocol, reply)) as server:
        reward = load(protocol, server.url)
        groups = [[f"{place}{'x' * each}" for each in range(3)] for place in range(10)]
        for group, scored in zip(
            groups,
            await asyncio.gather(*(reward(*asking(*group)) for group in groups)),
            strict=True,
        ):
            assert scored.rewards.tolist() == [value_of(protocol, text) for text in group]


@every
async def test_a_password_is_sent_and_never_shown(serve: Any, reply: Any, protocol: str) -> None:
    no = reply(b'{"detail": "bob:s3cret is unknown"}', 401)
    async with serve(lambda *_: no) as server:
        reward = load(protocol, f"http://bob:s3cret@127.0.0.1:{server.port}")
        with pytest.raises(RewardAnswerError, match="is unknown") as told:
            await reward(*asking("a"))
    assert server.seen[0].headers["authorization"].startswith("Basic ")
    assert "s3cret" not in str(told.value) + repr(reward)
