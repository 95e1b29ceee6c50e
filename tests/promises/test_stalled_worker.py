"""A worker that stalls past its lease and wakes late cannot write."""

from __future__ import annotations

import signal

from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack


def test_a_worker_that_wakes_late_is_refused_and_lives_on(standing: Stack) -> None:
    mood = standing.reward.mood
    mood.hold(after=METHOD["n"])
    job_id = standing.post([{"id": "a", "prompt": "Are you asleep?"}], seed=5)
    until(lambda: mood.holds, "an iteration is under way")
    late = standing.holder(job_id)
    late.send(signal.SIGSTOP)
    try:
        mood.clear()  # the answer waits for the stalled worker in its socket
        until(lambda: len(mood.calls("Are you asleep?")) == 2 * METHOD["n"], "it was scored")
        mood.hold(after=METHOD["n"])
        until(lambda: mood.holds, "another worker has the prompt")
        heir = standing.holder(job_id)
        assert heir is not late
        stored = standing.rows(job_id, "a")
    finally:
        late.send(signal.SIGCONT)
    late.until_said("lease lost")
    assert standing.rows(job_id, "a") == stored
    assert standing.holder(job_id) is heir
    mood.clear()

    assert standing.ended(job_id).status == "succeeded"
    assert [row.k for row in standing.rows(job_id, "a")] == [1, 2, 3, 4]
    assert len(standing.results(job_id)) == 1
    heir.send(signal.SIGSTOP)
    try:
        assert standing.ended(standing.post(["And now?"])).status == "succeeded"
    finally:
        heir.send(signal.SIGCONT)
