"""Many clients on kept connections, from one process that costs little beside the gateway."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

TICKS_A_SECOND = 100  # of /proc/PID/stat, on every Linux


class Load(NamedTuple):
    """What clients saw of one kind of request. Latencies in ms; ``cpu_ms``: the gateway's CPU
    time for each request."""

    kind: str
    clients: int
    requests: int
    a_second: float
    p50: float
    p99: float
    most: float
    cpu_ms: float


def get(path: str) -> bytes:
    """A request as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: object) -> bytes:
    """A request with a body of JSON as it goes over the wire."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def measure(
    kind: str,
    url: str,
    pid: int,
    wires: Sequence[bytes],
    *,
    clients: int,
    seconds: float,
    every: float = 0.0,
) -> Load:
    """Each client sends requests for so long, those of ``wires`` in turn: one ``every`` so many
    seconds, as a client that polls does, or one as soon as the other is answered.

    Raises: RuntimeError: an answer that is no success.
    """
    turns = itertools.cycle(wires)
    before = cpu_seconds(pid)
    took, wall = asyncio.run(_all(url, turns, clients, seconds, every))
    cpu = cpu_seconds(pid) - before
    took.sort()
    at = len(took)
    return Load(
        kind, clients, at, at / wall,
        1000 * took[at // 2], 1000 * took[min(at - 1, int(0.99 * at))], 1000 * took[-1],
        1000 * cpu / at,
    )  # fmt: skip


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all of its threads, in the kernel too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


async def _all(
    url: str, turns: Iterator[bytes], clients: int, seconds: float, every: float
) -> tuple[list[float], float]:
    took: list[float] = []
    begun = time.monotonic()
    await asyncio.gather(
        *(
            _one(url, turns, begun + every * place / clients, begun + seconds, every, took)
            for place in range(clients)
        )
    )
    return took, time.monotonic() - begun


async def _one(
    url: str, turns: Iterator[bytes], first: float, last: float, every: float, took: list[float]
) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    due = first
    while due < last:
        await asyncio.sleep(due - time.monotonic())
        begun = time.monotonic()
        writer.write(next(turns))
        await _answer(reader)
        took.append(time.monotonic() - begun)
        due = max(due + every, time.monotonic())
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = int(head[9:12]), 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = await reader.readexactly(length)
    if status >= 400:
        raise RuntimeError(f"{status}: {body[:500]!r}")
