"""A gateway that has stopped holds nothing of the store, not even for a request that it broke off."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, event

from tests.api.conftest import Start
from tests.api.running import eventually


def connections(engine: Engine) -> int:
    """How many this process has to the store, the one that asks on PostgreSQL left out."""
    name = engine.url.database or ""
    if engine.dialect.name == "postgresql":
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as asking:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
            (count,) = asking.execute(query, [name]).fetchone() or (0,)
        return int(count)
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += str(link.readlink()) == name
        except OSError:
            continue  # it was the listing's own
    return count


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are not listed here")
def test_a_stopped_gateway_has_no_connection(start: Start) -> None:
    gateway = start(grace_seconds=1)
    url = gateway.client.base_url.join(f"/v1/jobs/{gateway.job()['id']}")
    engine = gateway.inside.engine
    pool = engine.pool  # kept, for the collector closes what is forgotten in it
    within, go_on = threading.Event(), threading.Event()

    @event.listens_for(engine, "before_cursor_execute")
    def hold(*_: object) -> None:
        # Requests run in such threads; so does what the gateway does at its end.
        if threading.current_thread().name.startswith("AnyIO") and not within.is_set():
            within.set()
            go_on.wait()

    answered: list[httpx.Response] = []

    def read() -> None:
        with contextlib.suppress(httpx.HTTPError):
            # By a client of its own: the gateway's is closed while this waits.
            answered.append(httpx.get(url, timeout=60))

    reading = threading.Thread(target=read)
    reading.start()
    within.wait()
    try:
        gateway.stop()
        reading.join()
        assert [answer.status_code for answer in answered] in ([], [500]), "it was broken off"
    finally:
        go_on.set()
    eventually(lambda: connections(engine) == 0, seconds=5)
    assert pool is not engine.pool
