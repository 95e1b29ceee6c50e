"""``python -P -m api`` as a process: it starts, says what is wrong, and ends when it is asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.running import eventually, free_port

Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(tmp_path: Path, model_folder: Path) -> Iterator[Begin]:
    """Starts gateway processes in an empty folder; the environment can be changed."""
    started: list[subprocess.Popen[str]] = []

    def start(**changes: str) -> subprocess.Popen[str]:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("PRELOGIT_")}
        environment = {
            **outside,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PRELOGIT_HOME": str(tmp_path / "home"),
            "PRELOGIT_MODEL": str(model_folder),
            "PRELOGIT_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
            **changes,
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "api"],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_it_serves_and_ends_on_a_signal_with_streams_open(begin: Begin) -> None:
    port = free_port()
    process = begin(PRELOGIT_PORT=str(port))
    base = f"http://127.0.0.1:{port}"

    def alive() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(f"{base}/health/live").is_success
        except httpx.HTTPError:
            return False

    eventually(alive, seconds=60)
    job = httpx.post(f"{base}/v1/jobs", json={"prompts": ["a"]}).json()
    with httpx.stream("GET", base + job["links"]["events"], timeout=60) as stream:
        process.send_signal(signal.SIGTERM)
        for _ in stream.iter_lines():
            pass  # to its regular end: a torn connection would raise
    assert process.wait(30) in (0, -signal.SIGTERM)
    log, _ = process.communicate()
    assert "Traceback" not in log


def test_a_wrong_setting_is_named(begin: Begin) -> None:
    process = begin(PRELOGIT_REDIS_URL="redis+unix://:hidden@/s", PRELOGIT_PORT="x")
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "PRELOGIT_REDIS_URL" in log
    assert "PRELOGIT_PORT" in log
    assert "hidden" not in log
    assert "Traceback" not in log


def test_a_store_that_is_away_is_named_with_the_cure(begin: Begin) -> None:
    port = free_port()
    process = begin(PRELOGIT_DATABASE_URL=f"postgresql://me:hidden@127.0.0.1:{port}/x")
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "PRELOGIT_DATABASE_URL" in log
    assert "hidden" not in log
    assert "Traceback" not in log
