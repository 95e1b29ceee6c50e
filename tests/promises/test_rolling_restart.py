"""Workers that are replaced one after the other lose no iteration: none is decoded twice."""

from __future__ import annotations

import signal
from collections import Counter

from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack

PROMPTS = [{"id": f"p{i}", "prompt": f"Who goes {'far ' * i}away?"} for i in range(8)]
SAMPLES = METHOD["n"] * (METHOD["iterations"] + 1)


def test_two_workers_are_replaced_while_they_search(each_stack: Stack) -> None:
    stack, mood = each_stack, each_stack.reward.mood
    mood.hold(after=METHOD["n"] * 3)
    job_id = stack.post(PROMPTS, seed=9)
    until(lambda: mood.holds, "searches are under way")
    for leaving in [worker for worker in stack.workers if worker.running]:
        leaving.send(signal.SIGTERM)
        mood.clear()
        assert leaving.ended() == 0
        mood.hold(after=METHOD["n"])
        stack.with_workers(2)
        mood.clear()
    assert stack.ended(job_id).status == "succeeded"
    rounds = {p["id"]: [row.k for row in stack.rows(job_id, p["id"])] for p in PROMPTS}
    assert rounds == {p["id"]: [1, 2, 3, 4] for p in PROMPTS}
    scored = Counter({p["id"]: len(mood.calls(p["prompt"])) for p in PROMPTS})
    assert scored == {p["id"]: SAMPLES for p in PROMPTS}
    assert stack.job(job_id).usage.candidates == SAMPLES * len(PROMPTS)
