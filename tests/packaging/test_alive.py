"""A worker's health check: its own sign of life in the store, nobody else's."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest

from db import presence
from db.models import WorkerRow
from db.session import make_engine, sessions
from workers.alive import main

HERE = socket.gethostname()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def beat(url: str, owner: str, *, ago_seconds: float = 0) -> None:
    engine = make_engine(url)
    with sessions(engine).begin() as session:
        presence.beat(session, owner, "model", "idle")
        row = session.get_one(WorkerRow, owner)
        row.seen_at -= timedelta(seconds=ago_seconds)
    engine.dispose()


def test_a_worker_of_this_host_is_enough(
    store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRELOGIT_DATABASE_URL", store_url)
    beat(store_url, f"{HERE}-7-abc")
    assert main() == 0
    assert capsys.readouterr().out == f"{HERE}-7-abc idle\n"


@pytest.mark.parametrize(
    ("owner", "ago_seconds"), [(f"{HERE}x-7-abc", 0), (f"{HERE}-7-abc", 31), ("other-7-abc", 0)]
)
def test_another_host_or_a_silent_worker_is_not(
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    owner: str,
    ago_seconds: float,
) -> None:
    monkeypatch.setenv("PRELOGIT_DATABASE_URL", store_url)
    beat(store_url, owner, ago_seconds=ago_seconds)
    assert main() == 1
    assert capsys.readouterr().err == "no worker of this host for 30 s\n"


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@127.0.0.1:1/none", "sqlite:////nowhere/at/all.db", "nonsense"]
)
def test_a_store_that_cannot_be_asked_is_told_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRELOGIT_DATABASE_URL", url)
    assert main() == 1
    told = capsys.readouterr().err
    assert told.startswith("the store cannot be asked")
    assert "secret" not in told
