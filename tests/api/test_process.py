"""``python -P -m api`` as a process: it starts, says what is wrong, and ends when it is asked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.running import eventually, free_port

ROOT = Path(__file__).parents[2]
Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(tmp_path: Path, model_folder: Path) -> Iterator[Begin]:
    """Starts gateway processes in an empty folder; the environment can be changed."""
    started: list[subprocess.Popen[str]] = []

    def start(**changes: str) -> subprocess.Popen[str]:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("PRELOGIT_")}
        environment = {
            **outside,
            "PYTHONPATH": str(ROOT),
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


def open_to_all(begin: Begin, port: int, **changes: str) -> subprocess.Popen[str]:
    return begin(PRELOGIT_HOST="0.0.0.0", PRELOGIT_PORT=str(port), **changes)


def serves(process: subprocess.Popen[str], port: int) -> bool:
    assert process.poll() is None
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live").is_success
    except httpx.HTTPError:
        return False


def test_it_is_not_opened_to_others_before_there_is_a_key(begin: Begin, tmp_path: Path) -> None:
    port = free_port()
    refused = open_to_all(begin, port)
    log, _ = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert "PRELOGIT_HOST is 0.0.0.0" in log
    assert "Traceback" not in log
    command = re.search(r"`prelogit (keys create [^`]*)`", log)
    assert command is not None, log
    made = subprocess.run(
        [sys.executable, "-P", "-m", "prelogit", *command[1].split()],
        env={**os.environ, "PRELOGIT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    process = open_to_all(begin, port)
    eventually(lambda: serves(process, port), seconds=60)
    base = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{base}/v1/jobs").status_code == 401
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert httpx.get(f"{base}/v1/jobs", headers=headers).status_code == 200


def test_that_keys_are_required_without_one_is_refused_here_too(begin: Begin) -> None:
    process = begin(PRELOGIT_API_KEYS_REQUIRED="true")
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "PRELOGIT_API_KEYS_REQUIRED is true" in log
    assert "prelogit keys create" in log


def test_an_open_door_is_warned_of(begin: Begin) -> None:
    port = free_port()
    process = open_to_all(begin, port, PRELOGIT_API_KEYS_REQUIRED="false")
    eventually(lambda: serves(process, port), seconds=60)
    assert httpx.get(f"http://127.0.0.1:{port}/v1/jobs").status_code == 200
    process.terminate()
    log, _ = process.communicate(timeout=60)
    assert "whoever reaches this port may post jobs" in log
