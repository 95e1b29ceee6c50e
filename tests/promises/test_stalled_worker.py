"""A worker that stalls past its lease and wakes late cannot write."""

from __future__ import annotations

import signal

from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack


def test_a_worker_that_wakes_late_is_refused_and_lives_on(stack: Stack) -> None:
    mood, late = stack.reward.mood, stack.worker()
    mood.hold(after=METHOD["n"])
    job_id = stack.post([{"id": "a", "prompt": "Why?"}], seed=5)
    until(lambda: mood.holds, "an iteration is under way")
    late.send(signal.SIGSTOP)
    mood.clear()  # the answer waits for the stalled worker in its socket

    mood.hold(after=METHOD["n"])
    heir = stack.worker()
    until(lambda: mood.holds, "another worker has the prompt")
    stored = stack.rows(job_id, "a")
    late.send(signal.SIGCONT)
    late.until_said("lease lost")
    assert stack.rows(job_id, "a") == stored
    mood.clear()

    assert stack.ended(job_id).status == "succeeded"
    assert [row.k for row in stack.rows(job_id, "a")] == [1, 2, 3, 4]
    assert len(stack.results(job_id)) == 1
    assert heir.end() == 0
    assert stack.ended(stack.post(["And now?"])).status == "succeeded"
    assert late.running
