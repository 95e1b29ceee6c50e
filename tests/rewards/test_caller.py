"""Posts to a server that answers too much, half of it, or much later than it was asked."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from typing import Any

import pytest

from prelogit.core.errors import RewardAnswerError, RewardError, RewardUnavailableError
from prelogit.rewards import caller
from prelogit.rewards.load import load_reward
from prelogit.rewards.service import ServiceReward

ASKED = [[{"role": "user", "content": "a?"}]]
ANSWERS = ["one"]


def reward_at(url: str, **patience: Any) -> ServiceReward:
    return ServiceReward(
        url, **{"first_wait_seconds": 0.001, "longest_wait_seconds": 0.01, **patience}
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of more than a mebibyte are too long."""
    monkeypatch.setattr(caller, "LARGEST_ANSWER", 1 << 20)


async def test_an_answer_without_end_is_refused_before_it_fills_the_memory(small: None) -> None:
    sent: list[int] = []

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        block = b"[" * (1 << 16)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            while True:
                writer.write(b"%x\r\n%b\r\n" % (len(block), block))
                await writer.drain()
                sent.append(len(block))
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RewardAnswerError, match="longer than 1 MiB"):
            await reward_at(url)(ASKED, ANSWERS)
    assert sum(sent) < 64 << 20


async def test_a_small_answer_that_unpacks_to_a_large_one_is_refused(
    small: None, serve: Any, reply: Any
) -> None:
    packed = gzip.compress(b'{"scores": [1.0]' + b" " * (8 << 20) + b"}")
    bomb = reply(packed, headers=("content-encoding: gzip",))
    async with serve(lambda *_: bomb) as server:
        with pytest.raises(RewardAnswerError, match="longer than 1 MiB"):
            await reward_at(server.url)(ASKED, ANSWERS)


async def test_a_compressed_answer_is_read(serve: Any, reply: Any) -> None:
    packed = reply(gzip.compress(b'{"scores": [1.5]}'), headers=("content-encoding: gzip",))
    async with serve(lambda *_: packed) as server:
        scored = await reward_at(server.url)(ASKED, ANSWERS)
    assert scored.rewards.tolist() == [1.5]


@pytest.mark.parametrize("protocol", ["prelogit", "vllm-classify"])
async def test_half_an_answer_is_called_half_an_answer(
    serve: Any, reply: Any, protocol: str
) -> None:
    async with serve(lambda *_: reply(b'{"scores": [1.0, 2.')) as server:
        with pytest.raises(RewardAnswerError, match="JSON that is cut off"):
            await load_reward(server.url, protocol=protocol)(ASKED, ANSWERS)


async def test_a_service_is_not_asked_before_the_time_that_it_names(
    serve: Any, reply: Any, good: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def at_once(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    busy = reply(b"", 429, headers=("retry-after: 45",))
    async with serve(lambda _, count: busy if count == 1 else good(1)) as server:
        await reward_at(server.url)(ASKED, ANSWERS)
    assert waits == [45.0]


async def test_a_service_that_names_a_later_time_than_the_patience_is_asked_once_more(
    serve: Any, reply: Any
) -> None:
    later = reply(
        json.dumps({"detail": "come tomorrow"}).encode(), 503, headers=("retry-after: 86400",)
    )
    async with serve(lambda *_: later) as server:
        with pytest.raises(RewardUnavailableError, match=r"within 1 s of asking .*come tomorrow"):
            await reward_at(server.url, patience_seconds=1)(ASKED, ANSWERS)
    assert len(server.seen) == 2


async def test_a_request_that_outlasts_the_patience_is_told_with_its_own_limit(
    serve: Any, reply: Any
) -> None:
    async with serve(lambda *_: reply(hangs=True)) as server:
        with pytest.raises(RewardUnavailableError) as silent:
            await reward_at(server.url, timeout_seconds=0.2, patience_seconds=0.1)(ASKED, ANSWERS)
    assert "no answer within 0.2 s" in str(silent.value)
    assert "0.1 s" not in str(silent.value)
    assert len(server.seen) == 1


@pytest.mark.parametrize("protocol", ["prelogit", "vllm-classify"])
@pytest.mark.parametrize("status", [500, 503])
async def test_a_stack_trace_of_the_server_stays_with_it(
    serve: Any, reply: Any, protocol: str, status: int
) -> None:
    trace = 'Traceback (most recent call last):\n  File "/srv/secret/app.py", line 3\nValueError: x'
    failed = reply(json.dumps({"detail": f"it broke\n\x1b[31m{trace}"}).encode(), status)
    async with serve(lambda *_: failed) as server:
        reward = load_reward(server.url, protocol=protocol, patience_seconds=0.01)
        with pytest.raises(RewardError) as told:
            await reward(ASKED, ANSWERS)
    text = str(told.value)
    assert "it broke" in text
    assert "/srv" not in text
    assert "Traceback" not in text
    assert text.isprintable()


@pytest.mark.parametrize(
    ("status", "cure"),
    [(401, "key"), (403, "key"), (404, "URL"), (405, "protocol"), (307, "redirects")],
)
async def test_a_refusal_without_a_word_is_told_with_what_to_look_at(
    serve: Any, reply: Any, status: int, cure: str
) -> None:
    async with serve(lambda *_: reply(b"<html></html>", status, "text/html")) as server:
        with pytest.raises(RewardAnswerError, match=f"{status}.*; .*{cure}"):
            await reward_at(server.url)(ASKED, ANSWERS)


async def test_a_key_is_taken_out_of_a_long_refusal_before_it_is_cut(
    serve: Any, reply: Any
) -> None:
    key = "k" * 40
    refusal = reply(json.dumps({"detail": "x" * 480 + key}).encode(), 401)
    async with serve(lambda *_: refusal) as server:
        with pytest.raises(RewardAnswerError) as told:
            await reward_at(server.url, key=lambda: key)(ASKED, ANSWERS)
    assert "kk" not in str(told.value)


async def test_an_outage_is_logged_once_and_so_is_its_end(
    serve: Any, reply: Any, good: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="prelogit.rewards")
    busy = reply(json.dumps({"detail": "loading"}).encode(), 503)
    async with serve(lambda _, count: busy if count <= 6 else good(1)) as server:
        reward = reward_at(server.url)
        await asyncio.gather(*(reward(ASKED, ANSWERS) for _ in range(3)))
        await reward(ASKED, ANSWERS)
    down, up = [f"{record.levelname} {record.message}" for record in caplog.records]
    place = f"the reward service at {server.url}"
    assert down == f"WARNING {place} does not answer (status 503, loading): asked again for 300 s"
    assert up == f"INFO {place} answers again"
