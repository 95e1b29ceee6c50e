"""A ServerReward in time: event loops, connections, cancelling."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prelogit.rewards.load import load_reward

ASKED = [[{"role": "user", "content": "a?"}]]


def test_one_reward_serves_one_event_loop_after_another(serve: Any, reply: Any) -> None:
    good = reply(b'{"rewards": [2.5]}')

    async def once(reward: Any) -> tuple[Any, list[float]]:
        async with serve(lambda *_: good) as server:
            made = reward or load_reward(server.url, protocol="openrlhf", text="plain")
            made._caller._address = made._caller._address._replace(url=server.url)
            return made, (await made(ASKED, ["x"])).rewards.tolist()

    reward, first = asyncio.run(once(None))
    _, second = asyncio.run(once(reward))
    assert first == second == [2.5]


async def test_connections_stay_open_inside_a_block_and_close_after_it(
    serve: Any, reply: Any
) -> None:
    async with serve(lambda *_: reply(b'{"rewards": [2.5]}')) as server:
        async with load_reward(server.url, protocol="openrlhf", text="plain") as reward:  # type: ignore[attr-defined]
            client = await reward._caller.shared.enter()
            await reward._caller.shared.leave()
            await reward(ASKED, ["x"])
            assert not client.is_closed
        assert client.is_closed


async def test_cancelling_a_call_ends_its_waiting(serve: Any, reply: Any) -> None:
    asked = asyncio.Event()

    def busy(*_: Any) -> Any:
        asked.set()
        return reply(b"", 503, "text/html")

    async with serve(busy) as server:
        reward = load_reward(
            server.url,
            protocol="tei",
            first_wait_seconds=30.0,
            longest_wait_seconds=30.0,
        )
        call = asyncio.create_task(reward(ASKED, ["x"]))  # type: ignore[arg-type]
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_no_more_requests_at_once_than_was_said() -> None:
    under_way: list[int] = [0]
    full = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
                under_way.append(under_way[-1] + 1)
                if under_way[-1] == 2:
                    full.set()
                await full.wait()  # nobody is answered before there are two
                await asyncio.sleep(0)
                under_way.append(under_way[-1] - 1)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b'content-length: 16\r\n\r\n{"rewards": [1]}'
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reward = load_reward(
            f"http://127.0.0.1:{port}",
            protocol="openrlhf",
            text="plain",
            items_per_request=1,
            requests_at_once=2,
        )
        scored = await reward(ASKED * 9, [str(place) for place in range(9)])
    assert scored.calls == 9
    assert max(under_way) == 2
