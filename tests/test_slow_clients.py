"""A connection whose request does not come is ended; one that is slow, but comes, is served."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from prelogit.slow_clients import Patient

BODY = b"x" * 400


class Hasty(Patient):
    head_seconds = 0.5
    body_seconds = 1.0
    body_bytes = 100


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers how much it was sent; takes its time to look."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    body = b"got %d." % size
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = uvicorn.Config(echo, port=0, http=Hasty, log_config=None, lifespan="off")
    config.timeout_keep_alive = 60
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def answer_to(port: int, pieces: list[bytes], *, pause: float) -> bytes:
    """All that comes back until the server ends the connection or has answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(pause)
            told = b""
            while not told.endswith(b".") and (more := client.recv(4096)):
                told += more
        except ConnectionError:
            return b""
    return told


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"GET / HTTP/1.1\r\n"],
        [b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 20],
        [HEAD],
        [HEAD, *[b"x"] * 40],
    ],
    ids=["nothing", "no end of the head", "a line now and then", "no body", "a byte now and then"],
)
def test_what_does_not_come_is_not_waited_for(port: int, pieces: list[bytes]) -> None:
    assert answer_to(port, pieces, pause=0.05) == b""


def test_what_comes_slowly_but_comes_is_served(port: int) -> None:
    pieces = [HEAD, *[BODY[:40]] * 10]
    assert answer_to(port, pieces, pause=0.13).endswith(b"got 400.")


def test_a_connection_may_rest_between_requests(port: int) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert answer_to(port, [request, request], pause=0.7).count(b"got 0.") == 2
