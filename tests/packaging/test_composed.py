"""The compose file's commands, environments and health checks, run without Docker; and the code
of the pages, run against them as a reader would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from tests.packaging.pages import DOCS, blocks
from tests.packaging.running import START_SECONDS, Composed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

JOB = {
    "prompts": ["How do I sleep better?", {"id": "tea", "prompt": "How do I make tea?"}],
    "method": {"name": "aisp", "n": 4, "iterations": 1, "batch_size": 2},
    "baselines": [{"name": "bon"}],
    "max_new_tokens": 8,
}


def test_every_part_is_ready(running: Composed) -> None:
    ready = running.client.get("/health/ready")
    assert ready.is_success, ready.text
    assert set(ready.json()["parts"]) == {"store", "queue", "reward", "workers", "model"}


def test_the_composed_services_run_a_job(running: Composed) -> None:
    posted = running.client.post("/v1/jobs", json=JOB)
    assert posted.status_code == 202, posted.text
    job = posted.json()
    deadline = time.monotonic() + START_SECONDS
    while job["status"] in ("queued", "running") and time.monotonic() < deadline:
        job = running.client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()
    assert job["status"] == "succeeded", json.dumps(job) + running.said("worker")
    results = running.client.get(f"/v1/jobs/{job['id']}/results").json()["data"]
    assert [result["prompt_id"] for result in results] == ["p1", "tea"]
    assert all(result["samples"] == 8 and result["response"] for result in results)
    assert all(result["reward_model"]["name"] == "relevance" for result in results)


def test_the_queue_asks_for_the_password_and_keeps_what_it_holds(running: Composed) -> None:
    with (
        redis.Redis("127.0.0.1", running.ports["redis"]) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    url = running.environments["gateway"]["PRELOGIT_REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        assert client.ping()
        assert client.config_get("appendonly") == {"appendonly": "yes"}


@pytest.mark.parametrize("name", ["reward", "gateway", "worker"])
def test_a_health_check_is_content_while_its_process_lives(running: Composed, name: str) -> None:
    done = running.check(name)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def env(running: Composed) -> dict[str, str]:
    """The environment of a user of the running stack, with its prepared model."""
    mine = running.environments["gateway"]
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "HOME": mine["HOME"],
        "PRELOGIT_HOME": mine["PRELOGIT_HOME"],
        "PRELOGIT_URL": str(running.client.base_url),
        "PRELOGIT_DATABASE_URL": mine["PRELOGIT_DATABASE_URL"],  # for `prelogit keys`
        "OMP_NUM_THREADS": mine["OMP_NUM_THREADS"],
        "COLUMNS": "120",
    }


def test_the_page_s_command_makes_a_key_in_the_gateway_s_store(running: Composed) -> None:
    (line,) = [
        line
        for block in blocks(DOCS / "deployment.md", "bash")
        for line in block.splitlines()
        if "prelogit keys create" in line
    ]
    command = line.partition(" gateway prelogit ")[2].removesuffix(")").split()
    made = subprocess.run(
        [sys.executable, "-P", "-m", "prelogit", *command],
        env=running.environments["gateway"],
        cwd=running.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert running.client.get("/v1/keys", headers=headers).status_code == 200


def run(command: list[str], env: dict[str, str], folder: Path, text: str) -> str:
    done = subprocess.run(
        command, input=text, env=env, cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_shell(running: Composed, env: dict[str, str], folder: Path, text: str) -> str:
    """A script of a page; a command that fails, or an answer that is an error, fails it."""
    for port, name in ((8000, "gateway"), (8100, "reward")):
        text = text.replace(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{running.ports[name]}")
    strict = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'
    return run(["bash"], env, folder, strict + text)


@pytest.mark.parametrize("page", ["python.md", "trace.md"])
def test_python_of_a_page(page: str, env: dict[str, str], tmp_path: Path) -> None:
    said = run([sys.executable, "-"], env, tmp_path, "\n".join(blocks(DOCS / page, "python")))
    if page == "trace.md":
        assert said.strip() == "tensor(0.)"


def test_the_rest_api_by_curl(running: Composed, env: dict[str, str], tmp_path: Path) -> None:
    said = run_shell(running, env, tmp_path, "\n".join(blocks(DOCS / "api.md", "bash")))
    assert said.count("event: result") >= 3
    assert '"status":"succeeded"' in said
    jobs = running.client.get("/v1/jobs", params={"limit": 200}).json()["data"]
    assert not [job for job in jobs if job["request"]["metadata"].get("team") == "docs"]


def test_the_reward_service_by_curl(running: Composed, env: dict[str, str], tmp_path: Path) -> None:
    asked = ("curl ", "prelogit doctor ")  # the others want packages, servers, or minutes
    some = [block for block in blocks(DOCS / "rewards.md", "bash") if block.startswith(asked)]
    assert len(some) >= 2
    said = run_shell(running, env, tmp_path, "\n".join(some))
    assert '"scores":[' in said


def test_the_quickstart(running: Composed, env: dict[str, str], tmp_path: Path) -> None:
    """What comes after the installation and the start, which the stack stands for."""
    text = "\n".join(blocks(DOCS / "quickstart.md", "bash"))
    before, start, after = text.partition("prelogit up\n")
    assert "scripts/install" in before
    assert start
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    said = run_shell(running, env, tmp_path, after)
    assert "succeeded" in said
    assert "margin" in said


def test_a_replay_of_the_pages(running: Composed, env: dict[str, str], tmp_path: Path) -> None:
    text = 'prelogit submit --prompt "Hi" --n 4 --iterations 2 --max-new-tokens 8 --watch --json > job.json\n'
    text += 'JOB=$(python -c \'import json; print(json.load(open("job.json"))["id"])\')\n'
    text += "\n".join(blocks(DOCS / "trace.md", "bash")) + "\n"
    text += 'prelogit export "$JOB" --as sft --to answers.jsonl && cat answers.jsonl\n'
    said = run_shell(running, env, tmp_path, text)
    assert '"role": "assistant"' in said
