"""A prompt that kills its worker is set aside after three of them, and the others finish."""

from __future__ import annotations

import signal

import pytest

from tests.workers.poison import PROMPTS
from tests.workers.processes import until
from tests.workers.stack import Stack

KILLS = 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_prompt_that_has_killed_three_workers_is_set_aside_with_the_reason(stack: Stack) -> None:
    job_id = stack.post(PROMPTS)

    def over() -> bool:
        # As a supervisor does: a worker that has died is followed by another one.
        if not any(worker.running for worker in stack.workers):
            stack.worker("tests.workers.deadly")
        return stack.job(job_id).status == "partial"

    until(over, "the job has ended without its worst prompt", seconds=600)
    *dead, living = stack.workers
    assert [worker.ended() for worker in dead] == [-signal.SIGKILL] * KILLS
    assert living.running
    good, poison, other = stack.results(job_id)
    assert [r.status for r in (good, poison, other)] == ["succeeded", "failed", "succeeded"]
    assert f"stopped {KILLS} times over this prompt" in str(poison.error)
    assert (good.samples, other.samples) == (16, 16)
    assert stack.ended(stack.post(["Who is next?"])).status == "succeeded"
