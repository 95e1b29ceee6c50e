"""The disk under the store fills up while a job runs: it waits, and goes on as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prelogit.core.records import Iteration
from tests.small_disk import SmallDisk
from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack, running_stack

PROMPTS = [{"id": f"q{place}", "prompt": f"Why is it {place} o'clock?"} for place in range(4)]
N = 4
SAMPLES = N * (3 + 1)
FULL = "the store's disk is full"


@pytest.fixture
def small_stack(tmp_path: Path, model_folder: str, store_on_small_disk: str) -> Iterator[Stack]:
    """A stack whose store is on a small disk, with one worker of short leases."""
    with running_stack(tmp_path, model_folder, store_on_small_disk) as stack:
        stack.worker(lease_seconds=0.5)
        yield stack.with_workers(1)


def found(stack: Stack, job_id: str) -> dict[str, tuple[str | None, float | None, list[object]]]:
    return {
        result.prompt_id: (
            result.response,
            result.reward,
            [timeless(row) for row in stack.rows(job_id, result.prompt_id)],
        )
        for result in stack.results(job_id)
    }


def timeless(row: Iteration) -> dict[str, object]:
    return row.model_dump(exclude={"seconds"})


def test_a_full_disk_pauses_a_job_and_costs_no_round(
    small_stack: Stack, small_disk: SmallDisk
) -> None:
    stack, mood = small_stack, small_stack.reward.mood
    assert METHOD["n"] == N
    (worker,) = stack.workers
    mood.hold(after=len(PROMPTS) * N)
    disturbed = stack.post(PROMPTS, seed=7)
    until(lambda: mood.holds, "the second round is under way")
    small_disk.fill()
    mood.clear()
    # Tried for longer than its lease: who gave up then would be asked for the round again.
    until(lambda: FULL in worker.said and "try 6" in worker.said, f"{FULL}: {worker.said}")
    assert stack.job(disturbed).status == "running"
    small_disk.free()
    assert stack.ended(disturbed).status == "succeeded"
    for prompt in PROMPTS:
        assert len(mood.calls(prompt["prompt"])) == SAMPLES, "no candidate was made twice"
    undisturbed = stack.post(PROMPTS, seed=7)
    assert stack.ended(undisturbed).status == "succeeded"
    assert found(stack, disturbed) == found(stack, undisturbed)
    assert worker.running
