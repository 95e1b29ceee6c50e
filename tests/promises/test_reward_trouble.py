"""A reward that is down pauses the prompts; one that answers nonsense fails them with the reason."""

from __future__ import annotations

from prelogit.core.records import Result
from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack


def test_a_reward_that_is_down_pauses_the_prompts(standing: Stack) -> None:
    reward = standing.reward
    reward.mood.hold(after=METHOD["n"])
    job_id = standing.post([{"id": "a", "prompt": "Are you back?"}])
    until(lambda: reward.mood.holds, "an iteration is under way")
    reward.kill()
    reward.mood.clear()
    waiting = standing.post(["Me too?"])
    until(lambda: standing.job(waiting).status == "running", "the next job waits as well")
    assert standing.job(job_id).status == "running"
    reward.start()
    for one in (job_id, waiting):
        assert standing.ended(one).status == "succeeded"
    assert [row.k for row in standing.rows(job_id, "a")] == [1, 2, 3, 4]


def test_nonsense_fails_the_prompt_with_the_reason_and_the_worker_lives_on(stack: Stack) -> None:
    worker, mood = (
        stack.worker(reward_timeout_seconds=1, reward_patience_seconds=2),
        stack.reward.mood,
    )

    def failed(job_id: str) -> tuple[Result, Result]:
        job = stack.ended(job_id)
        assert job.status == "partial", job
        good, bad = stack.results(job_id)
        assert (good.status, bad.status) == ("succeeded", "failed")
        assert bad.error is not None
        assert "Traceback" not in bad.error
        return good, bad

    prompts = [{"id": "good", "prompt": "A fine day"}, {"id": "bad", "prompt": "A bad day"}]
    for mood_name, reason in (("nan", "nan"), ("few", "3"), ("raise", "bad mood")):
        mood.set(mood_name, about="bad")
        good, bad = failed(stack.post(prompts))
        assert reason in str(bad.error)
        assert bad.response is None
        assert good.samples == 16
        mood.clear()

    mood.hold(after=2 * METHOD["n"])
    job_id = stack.post([prompts[0]])
    job = stack.ended(job_id)
    assert job.status == "failed"
    (late,) = stack.results(job_id)
    assert late.error is not None
    assert "did not answer within 2 s" in late.error
    # What was scored before is kept, and no silence became a number.
    assert len(stack.rows(job_id, "good")) == 2
    mood.clear()

    assert stack.ended(stack.post(prompts)).status == "succeeded"
    assert worker.running
    assert "Traceback" not in worker.said
