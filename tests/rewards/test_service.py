"""The client of a reward service: silence is waited out, nonsense is refused, order is kept."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest

from prelogit.core.errors import RewardAnswerError, RewardUnavailableError
from prelogit.rewards.answers import NONSENSE
from prelogit.rewards.service import ServiceReward

ASKED = [[{"role": "user", "content": "a?"}], [{"role": "user", "content": "b?"}]]
ANSWERS = ["one", "two"]


def impatient(url: str, **changes: Any) -> ServiceReward:
    options = {"patience_seconds": 0.05, "first_wait_seconds": 0.001, "timeout_seconds": 20.0}
    return ServiceReward(url, **{**options, **changes})


def patient(url: str, **changes: Any) -> ServiceReward:
    return impatient(url, **{"patience_seconds": 60.0, **changes})


def problem(reply: Any, status: int, detail: str, kind: str = "about:blank") -> Any:
    body = json.dumps({"type": kind, "title": "x", "status": status, "detail": detail}).encode()
    return reply(body, status, "application/problem+json")


async def test_a_good_answer(serve: Any, good: Any) -> None:
    answer = good(1.25, -3, reward="r", fingerprint="f" * 64, tokens=7)
    async with serve(lambda *_: answer) as server:
        scored = await impatient(server.url, name="r")(ASKED, ANSWERS)
    assert scored.rewards.tolist() == [1.25, -3.0]
    assert scored.reward.name == "r"
    assert scored.reward.fingerprint == "f" * 64
    assert (scored.tokens, scored.calls) == (7, 1)
    assert scored.seconds > 0
    (request,) = server.seen
    assert request.path == "/v1/score"
    assert request.json == {"reward": "r", "conversations": ASKED, "responses": ANSWERS}


async def test_without_a_name_the_service_chooses_and_says_which(serve: Any, good: Any) -> None:
    async with serve(lambda *_: good(1, 2, reward="its own")) as server:
        scored = await impatient(server.url)(ASKED, ANSWERS)
    assert "reward" not in server.seen[0].json
    assert scored.reward.name == "its own"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([1.0, float("nan")], "response 1 is nan"),
        ([float("inf"), 1.0], "response 0 is inf"),
        ([1.0], "1 rewards came back for 2"),
        ([1.0, 2.0, 3.0], "3 rewards came back for 2"),
        ([], "0 rewards came back for 2"),
        (["1.0", "2.0"], "response 0 is '1.0'"),
        ([1.0, True], "response 1 is True"),
        ([None, 1.0], "response 0 is None"),
        ([[1.0], [2.0]], "response 0 is of type list"),
    ],
)
async def test_nonsense_is_refused_at_once_and_named(
    serve: Any, good: Any, values: list[Any], named: str
) -> None:
    async with serve(lambda *_: good(*values)) as server:
        with pytest.raises(RewardAnswerError, match=rf"{server.url}: .*{named}"):
            await patient(server.url)(ASKED, ANSWERS)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>hello</html>", "text/html"),
        (b'{"scores": [1.0, 2.0]}', "text/plain"),
        (b"[1.0, 2.0]", "application/json"),
        (b"not json", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"{}", "application/json"),
        (b'{"scores": "12"}', "application/json"),
        (b'{"scores": 3.0}', "application/json"),
        (b'{"scores": {"0": 1.0, "1": 2.0}}', "application/json"),
    ],
)
async def test_an_answer_of_another_kind_is_refused(
    serve: Any, reply: Any, body: bytes, content_type: str
) -> None:
    async with serve(lambda *_: reply(body, content_type=content_type)) as server:
        with pytest.raises(RewardAnswerError):
            await patient(server.url)(ASKED, ANSWERS)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_busy_service_is_asked_again(
    serve: Any, reply: Any, good: Any, status: int
) -> None:
    async with serve(
        lambda _, count: reply(b"", status, "text/html") if count < 3 else good(1, 2)
    ) as server:
        scored = await patient(server.url)(ASKED, ANSWERS)
    assert scored.rewards.tolist() == [1.0, 2.0]
    assert len(server.seen) == 3


async def test_a_broken_connection_and_a_hanging_one_are_asked_again(
    serve: Any, reply: Any, good: Any
) -> None:
    script = {1: reply(breaks=True), 2: reply(hangs=True)}
    async with serve(lambda _, count: script.get(count, good(1, 2))) as server:
        scored = await patient(server.url, timeout_seconds=0.3)(ASKED, ANSWERS)
    assert scored.rewards.tolist() == [1.0, 2.0]
    assert len(server.seen) == 3


async def test_a_service_that_hangs_on_ends_as_unavailable_never_as_a_number(
    serve: Any, reply: Any
) -> None:
    async with serve(lambda *_: reply(hangs=True)) as server:
        with pytest.raises(RewardUnavailableError, match=r"no answer within 0\.1 s"):
            await impatient(server.url, timeout_seconds=0.1)(ASKED, ANSWERS)


async def test_an_answer_that_trickles_for_ever_is_a_timeout() -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999\r\n\r\n"
        )
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RewardUnavailableError, match=r"no answer within 0\.2 s"):
            await impatient(f"http://127.0.0.1:{port}", timeout_seconds=0.2)(ASKED, ANSWERS)


async def test_nobody_there_ends_as_unavailable_with_host_and_cure() -> None:
    with socket.socket() as taken:  # bound, never listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(RewardUnavailableError) as silent:
            await impatient(f"http://127.0.0.1:{port}")(ASKED, ANSWERS)
    assert f"http://127.0.0.1:{port}" in str(silent.value)
    assert "PRELOGIT_REWARD_URL" in str(silent.value)


async def test_unavailable_repeats_what_the_service_said_last(serve: Any, reply: Any) -> None:
    loading = problem(reply, 503, "still loading")
    async with serve(lambda *_: loading) as server:
        with pytest.raises(RewardUnavailableError, match="still loading"):
            # Long enough for a second request on a busy machine.
            await impatient(server.url, patience_seconds=2.0)(ASKED, ANSWERS)
    assert len(server.seen) > 1


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500, 501])
async def test_a_refusal_is_not_asked_again_and_its_reason_is_passed_on(
    serve: Any, reply: Any, status: int
) -> None:
    refusal = problem(reply, status, "unknown reward 'x'")
    async with serve(lambda *_: refusal) as server:
        with pytest.raises(RewardAnswerError, match=f"{status}: unknown reward 'x'"):
            await patient(server.url)(ASKED, ANSWERS)
    assert len(server.seen) == 1


async def test_a_502_that_means_nonsense_is_not_asked_again(serve: Any, reply: Any) -> None:
    nonsense = problem(reply, 502, "response 1 was nan", NONSENSE)
    async with serve(lambda *_: nonsense) as server:
        with pytest.raises(RewardAnswerError, match="response 1 was nan"):
            await patient(server.url)(ASKED, ANSWERS)
    assert len(server.seen) == 1


async def test_a_redirect_is_not_followed(serve: Any, reply: Any) -> None:
    away = reply(b"", 302, "text/html", headers=("location: http://127.0.0.1:9/",))
    async with serve(lambda *_: away) as server:
        with pytest.raises(RewardAnswerError, match="302"):
            await patient(server.url)(ASKED, ANSWERS)


async def test_the_password_is_sent_and_never_shown(
    serve: Any, reply: Any, good: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    script = {1: reply(b"", 503, "text/html"), 2: good(1, 2), 3: problem(reply, 401, "no")}
    async with serve(lambda _, count: script.get(count, reply(b"", 503, "x/y"))) as server:
        reward = patient(f"http://bob:s3cret@127.0.0.1:{server.port}")
        await reward(ASKED, ANSWERS)
        assert server.seen[0].headers["authorization"].startswith("Basic ")
        with pytest.raises(RewardAnswerError) as refused:
            await reward(ASKED, ANSWERS)
        hasty = impatient(f"http://bob:s3cret@127.0.0.1:{server.port}")
        with pytest.raises(RewardUnavailableError) as silent:
            await hasty(ASKED, ANSWERS)
    for text in (str(refused.value), str(silent.value), repr(reward), caplog.text):
        assert "s3cret" not in text
        assert "bob" not in text


def numbered(count: int, offset: int = 0) -> tuple[list[Any], list[str]]:
    texts = [str(offset + place) for place in range(count)]
    return [[{"role": "user", "content": "count"}] for _ in texts], texts


def echo(good: Callable[..., Any], **more: Any) -> Callable[..., Any]:
    """Scores every response with the number that it is."""
    return lambda request, _: good(*map(float, request.json["responses"]), **more)


async def test_a_large_call_goes_in_parts_and_comes_back_in_order(serve: Any, good: Any) -> None:
    async with serve(echo(good, tokens=1)) as server:
        scored = await patient(server.url, items_per_request=7)(*numbered(50))
    assert scored.rewards.tolist() == [float(place) for place in range(50)]
    assert scored.calls == len(server.seen) == 8
    assert scored.tokens == 8


async def test_what_was_cut_is_said_in_order_or_not_at_all(serve: Any, good: Any) -> None:
    conversations, responses = numbered(3)

    def answer(request: Any, *_: Any) -> Any:
        asked = request.json["responses"]
        return good(*(1.0 for _ in asked), truncated=[text == responses[2] for text in asked])

    def silent_once(request: Any, *_: Any) -> Any:
        if responses[0] in request.json["responses"]:
            return good(*(1.0 for _ in request.json["responses"]))
        return answer(request)

    async with serve(answer) as server:
        scored = await impatient(server.url, items_per_request=2)(conversations, responses)
    assert scored.truncated == (False, False, True)
    async with serve(silent_once) as server:
        scored = await impatient(server.url, items_per_request=2)(conversations, responses)
    assert scored.truncated is None


async def test_the_place_of_a_bad_score_counts_through_all_parts(serve: Any, good: Any) -> None:
    def one_bad(request: Any, _: int) -> Any:
        return good(*(None if text == "9" else 1.0 for text in request.json["responses"]))

    async with serve(one_bad) as server:
        with pytest.raises(RewardAnswerError, match="response 9 is None"):
            await patient(server.url, items_per_request=4)(*numbered(12))


async def test_two_models_in_one_call_are_refused(serve: Any, good: Any) -> None:
    def mixed(request: Any, count: int) -> Any:
        return good(*map(float, request.json["responses"]), fingerprint=str(count % 2))

    async with serve(mixed) as server:
        with pytest.raises(RewardAnswerError, match="two different models"):
            await patient(server.url, items_per_request=2)(*numbered(4))


async def test_concurrent_calls_each_get_their_own_scores(
    serve: Any, reply: Any, good: Any
) -> None:
    def flaky(request: Any, count: int) -> Any:
        if count % 5 == 0:
            return reply(b"", 503, "text/html")
        return good(*map(float, request.json["responses"]))

    async with serve(flaky) as server:
        reward = patient(server.url)
        calls = [reward(*numbered(3, offset=10 * place)) for place in range(30)]
        for place, scored in enumerate(await asyncio.gather(*calls)):
            assert scored.rewards.tolist() == [10.0 * place + each for each in range(3)]


async def test_cancelling_a_call_ends_its_waiting(serve: Any, reply: Any) -> None:
    asked = asyncio.Event()

    def busy(*_: Any) -> Any:
        asked.set()
        return reply(b"", 503, "text/html")

    async with serve(busy) as server:
        call = asyncio.create_task(
            patient(server.url, first_wait_seconds=30.0, longest_wait_seconds=30.0)(ASKED, ANSWERS)
        )
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_no_responses_are_no_requests(serve: Any, good: Any) -> None:
    async with serve(echo(good)) as server:
        scored = await patient(server.url)([], [])
    assert scored.rewards.tolist() == []
    assert server.seen == []


def test_one_reward_serves_one_event_loop_after_another(serve: Any, good: Any) -> None:
    async def once(reward: ServiceReward | None) -> tuple[ServiceReward, list[float]]:
        async with serve(echo(good)) as server:
            made = reward or patient(server.url)
            made._caller._address = made._address._replace(url=server.url)
            return made, (await made(*numbered(2))).rewards.tolist()

    reward, first = asyncio.run(once(None))
    _, second = asyncio.run(once(reward))
    assert first == second == [0.0, 1.0]


async def test_connections_stay_open_inside_a_block_and_close_after_it(
    serve: Any, good: Any
) -> None:
    async with serve(echo(good)) as server:
        async with patient(server.url) as reward:
            client = await reward._caller.shared.enter()
            await reward._caller.shared.leave()
            await reward(*numbered(2))
            assert not client.is_closed
        assert client.is_closed
