"""The servers that tests start never outlive them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def started_by(pid: int) -> list[int]:
    """Process ids of the children of ``pid`` and of theirs; none of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # a server's short-lived child ended between the listing and this look
        return []
    children = []
    for line in lines:
        children += [int(line), *started_by(int(line))]
    return children


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
@pytest.mark.parametrize("server", ["running_valkey", "running_postgres"])
def test_a_server_dies_with_its_test_process(server: str) -> None:
    program = textwrap.dedent(
        f"""
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("servers", {str(CONFTEST)!r})
        servers = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(servers)
        with servers.{server}():
            print("started", flush=True)
            sys.stdin.read()
        """
    )
    # What a killed process leaves on disk goes into a folder that this test removes; the
    # server may run as another user, who could not enter pytest's own.
    folder = Path(tempfile.mkdtemp(prefix="prelogit-killed-"))
    folder.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=CONFTEST.parents[1],
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        children = started_by(process.pid)
        assert children
    finally:
        process.kill()
        process.communicate()
    for _ in range(1000):
        if not any(map(alive, children)):
            shutil.rmtree(folder)
            return
        time.sleep(0.01)
    pytest.fail(f"still running: {[pid for pid in children if alive(pid)]}")
