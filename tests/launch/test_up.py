"""``prelogit up``: from an empty folder to a URL, through every kind of death, to nothing left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from prelogit import AISP, Client
from prelogit.client import JobHandle
from tests.launch.started import Started
from tests.workers.services import save_model

pytestmark = pytest.mark.slow

if sys.platform != "linux":
    pytest.skip("/proc shows what is left behind", allow_module_level=True)

Up = Callable[..., Started]
PARTS = {
    "queue": "valkey-server",
    "reward": "reward_service",
    "worker": "workers",
    "gateway": "api",
}


def url_of(stack: Started) -> str:
    """Waits until the stack is ready."""
    stack.until(
        lambda: stack.output().endswith("}\n") or stack.process.poll() is not None,
        f"ready in:\n{stack.log()}",
    )
    assert stack.process.poll() is None, stack.log()
    return str(json.loads(stack.output())["url"])


def post(client: Client, *prompts: str, iterations: int = 2) -> JobHandle:
    return client.submit(
        prompts, method=AISP(n=8, iterations=iterations), max_new_tokens=8, reward="relevance"
    )


def run_command(*arguments: str, **env: str) -> str:
    argv = [sys.executable, "-m", "prelogit", *arguments]
    outer = {name: value for name, value in os.environ.items() if name != "PRELOGIT_URL"}
    done = subprocess.run(argv, env={**outer, **env}, capture_output=True, text=True, check=True)
    return done.stdout


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").is_success
    except httpx.TransportError:
        return False


def port_is_free(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) != 0


def processes(stack: Started) -> dict[str, set[int]]:
    return {name: stack.children(part) for name, part in PARTS.items()}


def test_a_stack_survives_its_children_and_leaves_nothing(up: Up, tmp_path: Path) -> None:
    stack = up()
    url = url_of(stack)
    home = tmp_path / "home"
    assert home.stat().st_mode & 0o777 == 0o700
    with Client(url) as client:
        first = post(client, "one", "two")
        assert first.wait(120).status == "succeeded"
    # A command finds the stack by its home folder, and makes the answer again from the trace.
    told = run_command("replay", first.id, "p1", "--json", PRELOGIT_HOME=str(home))
    assert json.loads(told)["same"]
    assert json.loads(told)["same_weights"]
    with Client(url) as client:
        for name in PARTS:
            before = processes(stack)[name]
            assert len(before) == 1, name
            os.kill(*before, signal.SIGKILL)
            stack.until(lambda n=name, b=before: processes(stack)[n] - b, f"another {name}")
        stack.until(lambda: is_ready(url), "ready again")
        assert post(client, "three").wait(120).status == "succeeded"

    second = up()
    assert second.process.wait(60) == 1
    assert "runs on" in second.log()
    assert url in second.log()

    stack.signal(signal.SIGINT)
    stack.wait_gone()
    assert stack.process.returncode == 0
    assert port_is_free(url)
    assert {f"{name}.log" for name in PARTS} <= {file.name for file in (home / "logs").iterdir()}


def test_a_killed_supervisor_leaves_nothing_and_the_next_goes_on(up: Up) -> None:
    stack = up()
    with Client(url_of(stack)) as client:
        job = post(client, *map(str, range(8)), iterations=6)
        stack.until(lambda: job.refresh().progress.iterations_done, "the first iteration")
        stack.signal(signal.SIGKILL)
        stack.wait_gone()
        assert port_is_free(client.url)
    with Client(url_of(up())) as client:
        ended = client.job(job.id).wait(240)
    assert ended.status == "succeeded"
    assert ended.counts.succeeded == 8


def test_two_models_are_served_side_by_side(up: Up, model_folder: str, tmp_path: Path) -> None:
    other = save_model(tmp_path / "other")
    stack = up(PRELOGIT_MODEL="", PRELOGIT_MODELS=f"{model_folder},{other}")
    with Client(url_of(stack)) as client:
        jobs = {
            model: client.submit(["one"], model=model, method=AISP(n=4), max_new_tokens=4)
            for model in (model_folder, other)
        }
        for model, job in jobs.items():
            assert job.wait(120).status == "succeeded"
            assert [one.model.name for one in job.results() if one.model] == [model]
        assert len(processes(stack)["worker"]) == 2
    stack.signal(signal.SIGINT)
    stack.wait_gone()
    assert stack.process.returncode == 0


@pytest.mark.parametrize(
    ("option", "variable"), [("--port", "PRELOGIT_PORT"), ("--reward-port", "PRELOGIT_REWARD_PORT")]
)
def test_a_taken_port_is_told_with_its_setting(up: Up, option: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = {"--port": "0", "--reward-port": "0", option: str(port)}
        stack = up(*(part for pair in ports.items() for part in pair))
        assert stack.process.wait(60) == 1
    assert f"port {port}" in stack.log()
    assert "is taken by another program" in stack.log()
    assert variable in stack.log()


def test_bad_settings_name_the_variable(up: Up) -> None:
    stack = up(PRELOGIT_WORKERS="none")
    assert stack.process.wait(60) == 1
    assert "PRELOGIT_WORKERS" in stack.log()
    assert "Traceback" not in stack.log()


def test_a_model_that_is_not_there_is_told_before_anything_starts(up: Up) -> None:
    stack = up(PRELOGIT_MODEL="/nowhere")
    assert stack.process.wait(60) == 1
    assert "/nowhere" in stack.log()
    assert "waiting for" not in stack.log()


def test_a_stack_that_others_reach_asks_for_a_key_and_knows_its_own_health(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = {"PRELOGIT_HOME": str(tmp_path / "home")}
    refused = up(PRELOGIT_HOST="0.0.0.0")
    refused.until(lambda: refused.process.poll() is not None, "it has ended")
    assert refused.process.returncode == 1
    assert "prelogit keys create" in refused.log()
    key = run_command("keys", "create", **home).strip()
    stack = up(PRELOGIT_HOST="0.0.0.0")
    url = url_of(stack)
    assert httpx.get(f"{url}/health/ready").status_code == 401
    with Client(url, key=key) as client:
        assert post(client, "a").wait(60).status == "succeeded"
    jobs = json.loads(run_command("jobs", "--json", PRELOGIT_API_KEY=key, **home))
    assert len(jobs) == 1
    # The doctor holds no key: the stack has noted what opens its health.
    wrong = subprocess.run(
        [sys.executable, "-m", "prelogit", "doctor", "--json"],
        env={**os.environ, **home, "PRELOGIT_HOST": "0.0.0.0"},
        capture_output=True,
        text=True,
    )
    found = {one["name"]: one for one in json.loads(wrong.stdout)}
    assert found["gateway"]["ok"], found["gateway"]
    note = tmp_path / "home" / "up.lock"
    assert note.stat().st_mode & 0o077 == 0
