"""The reward service on a real socket, in a thread, hosting functions that the tests write."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from reward_service.app import create_app
from reward_service.settings import RewardSettings

PATIENCE_SECONDS = 120.0


class Service(NamedTuple):
    """A running service. ``http`` is bound to its URL."""

    url: str
    http: httpx.Client
    app: FastAPI


def until(happened: Callable[[], bool]) -> None:
    """Waits for something that another thread or process brings about."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@contextmanager
def run_service(settings: RewardSettings, *, ready: bool = True) -> Iterator[Service]:
    """The app under uvicorn on a free port, until the block ends."""
    app = create_app(settings)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="on")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False) as http:
                until(lambda: server.started or not thread.is_alive())
                if ready:
                    until(lambda: http.get("/health/ready").status_code == 200)
                yield Service(url, http, app)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


@pytest.fixture
def serving() -> Callable[..., Any]:
    """serving(settings, ready=True) -> context manager of a Service."""
    return run_service


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    return until


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """write_module(source) -> the name of an importable module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> str:
        name = f"hosted_{uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write
