"""A service that is forked finds what it would find in an interpreter of its own."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.workers.forked import service
from tests.workers.processes import Child, environment, python

TELLING = """
import json, os, sys
ours = ("prelogit", "api", "workers", "reward_service", "db")
print(json.dumps({
    "name": __name__, "arguments": sys.argv[1:], "folder": os.getcwd(), "env": dict(os.environ),
    "path": sys.path, "parent": os.getppid(), "safe": sys.flags.safe_path,
    "loaded": sorted(m for m in sys.modules if m.split(".")[0] in ours), "in": sys.stdin.read(),
    "libraries": "torch" in sys.modules,
}))
print("to stderr", file=sys.stderr)
if sys.argv[1] == "waits":
    import time
    time.sleep(600)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "telling.py").write_text(TELLING)
    return environment([tmp_path], port=7)


def told(child: Child) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(child.said.splitlines()[0])
    return found


def test_all_is_as_in_an_interpreter_of_its_own(tmp_path: Path, env: dict[str, str]) -> None:
    forked = service("telling", tmp_path / "forked.log", env, "3", "--more")
    alone = Child([*python("telling"), "3", "--more"], tmp_path / "alone.log", env)
    assert forked.ended() == alone.ended() == 3
    assert forked.said.endswith("to stderr\n")
    mine, other = told(forked), told(alone)
    assert (mine.pop("libraries"), other.pop("libraries")) == (True, False)
    assert mine == other
    assert mine["parent"] == os.getpid()
    assert mine["loaded"] == []


def test_a_signal_ends_it_and_is_its_status(tmp_path: Path, env: dict[str, str]) -> None:
    forked = service("telling", tmp_path / "log", env, "waits")
    forked.until_said("to stderr")
    assert forked.running
    assert forked.end(signal.SIGTERM) == -signal.SIGTERM
    forked.kill()
    assert not forked.running


def test_what_libraries_may_read_gets_an_interpreter_of_its_own(
    tmp_path: Path, env: dict[str, str]
) -> None:
    alone = service("telling", tmp_path / "log", {**env, "OMP_NUM_THREADS": "2"}, "0")
    assert alone.ended() == 0
    assert told(alone)["libraries"] is False
