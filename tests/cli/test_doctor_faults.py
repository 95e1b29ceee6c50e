"""``prelogit doctor`` names faults that are really there: each is brought about, and cured."""

from __future__ import annotations

import shutil
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, ownership
from db.models import WorkerRow
from db.session import make_engine, now, sessions
from tests.api.worker import Worker
from tests.cli.conftest import Run
from tests.cli.test_doctor import place
from tests.client.gateway import Gateway
from tests.workers.stack import post_job

__all__ = ["place"]

MODEL = "smollm2-135m"


@pytest.fixture
def store(
    place: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[sessionmaker[Session]]:
    """The store that the doctor looks at."""
    monkeypatch.setenv("PRELOGIT_DATABASE_URL", store_url)
    engine = make_engine(store_url)
    yield sessions(engine)
    engine.dispose()


def found(bare: Run, name: str) -> dict[str, Any]:
    """One finding; the exit code goes with all of them."""
    done = bare("doctor", "--json")
    assert done.code == (0 if all(one["ok"] for one in done.json) else 1)
    (finding,) = [one for one in done.json if one["name"] == name]
    return dict(finding)


def test_a_gateway_without_a_worker(bare: Run, store: sessionmaker[Session]) -> None:
    assert found(bare, "workers")["ok"], "nobody waits, and nothing runs"
    with store.begin() as session:
        ownership.acquire(session, "reconciler", "a gateway", 15)
    missing = found(bare, "workers")
    assert not missing["ok"]
    assert "no worker has been heard of" in missing["detail"]
    assert "`prelogit up`" in missing["detail"]
    Worker(store).beat("another")
    unserved = found(bare, "workers")
    assert not unserved["ok"]
    assert f"no worker serves '{MODEL}' (alive: 1 of another)" in unserved["detail"]
    Worker(store, "second").beat(MODEL)
    cured = found(bare, "workers")
    assert cured["ok"]
    assert cured["detail"] == f"1 of another, 1 of {MODEL}"


def test_jobs_of_a_model_that_nobody_serves(bare: Run, store: sessionmaker[Session]) -> None:
    Worker(store).beat(MODEL)
    job = post_job(store, "other/model", ["a", "b"])
    wrong = found(bare, "workers")
    assert not wrong["ok"]
    assert "2 prompt(s) wait for the model 'other/model'" in wrong["detail"]
    assert f"alive: 1 of {MODEL}" in wrong["detail"]
    assert "PRELOGIT_MODEL=other/model" in wrong["detail"]
    with store.begin() as session:
        jobs.request_cancel(session, job.job_id)
    assert found(bare, "workers")["ok"]


@pytest.mark.parametrize(
    ("version", "cure"),
    [("0010", "start the gateway"), ("from the future", "install that version")],
)
def test_tables_of_another_version(
    bare: Run, store: sessionmaker[Session], version: str, cure: str
) -> None:
    assert found(bare, "store")["ok"]
    with store.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": version})
    wrong = found(bare, "store")
    assert not wrong["ok"]
    assert cure in wrong["detail"]
    assert found(bare, "workers")["ok"], "one fault is one finding"


@pytest.mark.parametrize(("interval", "way"), [("1 hour", "ahead of"), ("-3 seconds", "behind")])
def test_a_database_whose_clock_is_wrong(
    bare: Run,
    place: Path,
    fresh_postgres: str,
    monkeypatch: pytest.MonkeyPatch,
    interval: str,
    way: str,
) -> None:
    engine = make_engine(fresh_postgres)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA wrong"))
        connection.execute(
            text(
                "CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
                f"$$ SELECT pg_catalog.clock_timestamp() + interval '{interval}' $$"
            )
        )
    engine.dispose()
    monkeypatch.setenv("PRELOGIT_DATABASE_URL", fresh_postgres)
    assert found(bare, "clock")["detail"].startswith("differs: PostgreSQL by ")
    options = "?options=-csearch_path%3Dwrong,pg_catalog,public"
    monkeypatch.setenv("PRELOGIT_DATABASE_URL", fresh_postgres + options)
    wrong = found(bare, "clock")
    assert not wrong["ok"]
    assert f"s {way} this machine's" in wrong["detail"]
    assert "NTP" in wrong["detail"]


@contextmanager
def queue_whose_clock_is(ahead: float) -> Iterator[str]:
    """A server that speaks as much of Redis' protocol as is asked of it; its URL."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int(self.rfile.readline()[1:])
                    words.append(self.rfile.read(size + 2)[:-2].upper())
                if words[0] == b"TIME":
                    seconds, _, part = f"{time.time() + ahead:.6f}".partition(".")
                    self.wfile.write(
                        f"*2\r\n${len(seconds)}\r\n{seconds}\r\n${len(part)}\r\n{part}\r\n".encode()
                    )
                elif words[0] == b"HELLO":
                    self.wfile.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
                else:
                    self.wfile.write(b"+PONG\r\n" if words[0] == b"PING" else b"+OK\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        finally:
            server.shutdown()
            thread.join()


def test_a_queue_whose_clock_is_wrong(
    bare: Run, place: Path, monkeypatch: pytest.MonkeyPatch, valkey_url: str
) -> None:
    monkeypatch.setenv("PRELOGIT_REDIS_URL", valkey_url)
    assert found(bare, "clock")["detail"].startswith("differs: the queue by ")
    with queue_whose_clock_is(-120.0) as url:
        monkeypatch.setenv("PRELOGIT_REDIS_URL", url)
        wrong = found(bare, "clock")
    assert not wrong["ok"]
    assert "the clock of the queue is 120.0 s behind" in wrong["detail"]


def test_a_worker_whose_clock_is_wrong(bare: Run, store: sessionmaker[Session]) -> None:
    Worker(store, "far-away-1").beat(MODEL)
    assert found(bare, "clock")["ok"]
    with store.begin() as session:
        session.execute(update(WorkerRow).values(seen_at=now() + timedelta(minutes=5)))
    wrong = found(bare, "clock")
    assert not wrong["ok"]
    assert "the clock of the worker far-away-1" in wrong["detail"]


IN_A_SMALL_DISK = ["unshare", "-rm", "sh", "-c"]


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*IN_A_SMALL_DISK, "true"], capture_output=True).returncode != 0,
    reason="no disk can be mounted here",
)
@pytest.mark.parametrize("variable", ["PRELOGIT_HOME", "PRELOGIT_DATABASE_URL"])
def test_a_disk_that_is_nearly_full(tmp_path: Path, variable: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    home = disk if variable == "PRELOGIT_HOME" else tmp_path / "home"
    database = "" if home == disk else f"PRELOGIT_DATABASE_URL=sqlite:///{disk}/store.db"
    command = f"PRELOGIT_HOME={home} {database} {sys.executable} -m prelogit doctor"
    with_disk = f"mount -t tmpfs -o size=16m tmpfs {disk} && {command}"
    done = subprocess.run([*IN_A_SMALL_DISK, with_disk], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    (line,) = [one for one in done.stdout.splitlines() if " disk " in one and "wrong" in one]
    assert f"the disk of {disk} is nearly full" in line
    assert variable in line


def test_a_gateway_that_something_else_started_is_recognised(
    bare: Run, place: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRELOGIT_PORT", gateway.url.rpartition(":")[2])
    told = found(bare, "gateway")
    assert "taken" not in told["detail"]
    assert not told["ok"]
    assert "workers: " in told["detail"], "a part of its own that is missing"
