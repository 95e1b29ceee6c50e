"""Supervisors and whole stacks in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.launch.started import Started, start
from tests.workers.services import save_model

PROGRAM = """
import asyncio, json, os, signal, sys
from pathlib import Path
from prelogit.launch.child import ChildSpec
from prelogit.launch.logs import Logs
from prelogit.launch.supervisor import Supervisor

async def main(folder, children):
    logs = Logs(folder / "logs", sys.stderr)
    private = folder / "private"
    private.mkdir()
    async with Supervisor(logs, private) as supervisor:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        for name, code in children.items():
            argv = (sys.executable, "-u", "-c", code)
            supervisor.start(ChildSpec(name, argv, dict(os.environ), grace_seconds=1.0))
        supervisor_failed = asyncio.create_task(supervisor.failure())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({supervisor_failed, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if supervisor_failed.done():
            sys.exit(str(supervisor_failed.exception()))
        supervisor_failed.cancel()

asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
"""


@pytest.fixture
def running() -> Iterator[list[Started]]:
    """What is in this list at the end of the test is ended."""
    started: list[Started] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.signal(signal.SIGKILL)
        one.wait_gone()


@pytest.fixture
def start_stack(tmp_path: Path, running: list[Started]) -> Callable[[Mapping[str, str]], Started]:
    """Starts a supervisor with children of Python code by name."""

    def begin(children: Mapping[str, str]) -> Started:
        folder = tmp_path / f"stack-{len(running)}"
        folder.mkdir()
        argv = [sys.executable, "-c", PROGRAM, str(folder), json.dumps(children)]
        running.append(start(folder, argv))
        return running[-1]

    return begin


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny random model."""
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def up(tmp_path: Path, running: list[Started], model_folder: str) -> Callable[..., Started]:
    """Starts ``prelogit up`` on a home folder of the test, with free ports and a quick reward."""
    (tmp_path / "quick_reward.py").write_text(
        "def length(conversations, responses):\n"
        "    return [float(len(response)) for response in responses]\n"
    )
    rewards = [{"name": "relevance", "kind": "function", "path": "quick_reward:length"}]

    def begin(*arguments: str, **env: Any) -> Started:
        known = {
            "PRELOGIT_HOME": str(tmp_path / "home"),
            "PRELOGIT_MODEL": model_folder,
            "PRELOGIT_REWARDS": json.dumps(rewards),
            "PYTHONPATH": str(tmp_path),
            "PRELOGIT_LEASE_SECONDS": "3",
            "PRELOGIT_RECONCILE_SECONDS": "1",
            "PRELOGIT_RESEND_SECONDS": "1",
        }
        argv = [str(Path(sys.executable).with_name("prelogit")), "up", "--json"]
        ports = ["--port", "0", "--reward-port", "0"]
        outer = {name: "" for name in os.environ if name.startswith("PRELOGIT_")}
        running.append(
            start(
                tmp_path / f"up-{len(running)}",
                [*argv, *(arguments or ports)],
                {**outer, **known, **env},
            )
        )
        return running[-1]

    return begin
