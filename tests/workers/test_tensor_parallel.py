"""A worker whose model is split among processes, on a real queue."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.engine.tensor_parallel.test_team import alive, followers_of
from tests.workers.processes import until
from tests.workers.stack import running_stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.accelerator.is_available(), reason="one GPU a process is needed"),
]
PROMPTS = [{"id": "a", "prompt": "When?"}, {"id": "b", "prompt": "Where to, and why so far?"}]


def test_it_runs_jobs_as_any_worker_and_ends_as_one(
    tmp_path: Path, model_folder: str, fresh_sqlite: str
) -> None:
    with running_stack(tmp_path, model_folder, fresh_sqlite) as stack:
        split = stack.worker(tensor_parallel=2, dtype="float32")
        split.until_said("ready owner")
        (pid,) = followers_of(split.pid)
        job = stack.post(PROMPTS, seed=3)
        assert stack.ended(job).status == "succeeded"
        got = stack.results(job)
        assert split.end(signal.SIGTERM) == 0
        until(lambda: not alive(pid), "the follower has ended")

        whole = stack.worker(dtype="float32")
        whole.until_said("ready owner")
        job = stack.post(PROMPTS, seed=3)
        assert stack.ended(job).status == "succeeded"
        want = stack.results(job)
        assert [r.response for r in got] == [r.response for r in want]
        assert [r.model for r in got] == [r.model for r in want]
        whole.end()

        broken = stack.worker(tensor_parallel=2, dtype="float32")
        broken.until_said("ready owner")
        os.kill(*followers_of(broken.pid), signal.SIGKILL)
        assert broken.ended() == 1
        assert "a tensor-parallel model's 2 has ended (exit status -9" in broken.said
