"""``python -P -m reward_service`` as the stack starts it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from prelogit.rewards.load import load_reward

ROOT = Path(__file__).parents[2]
FUNCTION = "def length(conversations, responses):\n    return [len(r) for r in responses]\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_process_hosts_the_embedded_reward_and_a_function_and_ends_on_sigterm(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    (tmp_path / "my_rewards.py").write_text(FUNCTION)
    (tmp_path / "prelogit.py").write_text("raise SystemError('a file of the user won')\n")
    port = free_port()
    rewards = [
        {"name": "relevance", "kind": "embedding"},
        {"name": "length", "kind": "function", "path": "my_rewards:length"},
    ]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "reward_service"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PRELOGIT_REWARDS": json.dumps(rewards),
            "PRELOGIT_REWARD_PORT": str(port),
            "PRELOGIT_REWARD_THREADS": "1",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:

            def ready() -> bool:
                assert process.poll() is None
                try:
                    return http.get("/health/ready", timeout=60).status_code == 200
                except httpx.TransportError:
                    return False

            wait_until(ready)
        asked = [[{"role": "user", "content": "How do I sleep better?"}]] * 2
        relevance = load_reward(f"http://127.0.0.1:{port}", name="relevance")
        scored = asyncio.run(relevance(asked, ["Go to bed early.", "Stocks fell."]))
        assert scored.rewards[0] > scored.rewards[1] + 2
        length = load_reward(f"http://127.0.0.1:{port}#length")
        assert asyncio.run(length(asked, ["four", "five5"])).rewards.tolist() == [4.0, 5.0]
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in log
