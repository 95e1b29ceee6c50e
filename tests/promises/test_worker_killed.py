"""A killed worker loses no job and costs at most one iteration; the answers do not change."""

from __future__ import annotations

import signal

import pytest

from prelogit.core.records import Iteration
from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack

PROMPTS = [
    {"id": "short", "prompt": "Why?"},
    {"id": "other", "prompt": "What is a whale?"},
    {"id": "long", "prompt": "Tell me about the sea. " * 3},
]
SAMPLES = 4 * (3 + 1)


def found(stack: Stack, job_id: str) -> list[tuple[object, ...]]:
    """What a user reads of a job that must not depend on who computed it."""
    return [
        (
            result.prompt_id,
            result.response,
            result.reward,
            result.samples,
            result.kl,
            [(b.reward, b.response) for b in result.baselines],
            [timeless(row) for arm in (0, 1) for row in stack.rows(job_id, result.prompt_id, arm)],
        )
        for result in stack.results(job_id)
    ]


def timeless(row: Iteration) -> dict[str, object]:
    return row.model_dump(exclude={"seconds"})


def test_a_new_worker_goes_on_where_the_killed_one_stopped(each_stack: Stack) -> None:
    stack, mood = each_stack, each_stack.reward.mood
    first = stack.worker()
    undisturbed = stack.post(PROMPTS, seed=7)
    assert stack.ended(undisturbed).status == "succeeded"
    before = {p["prompt"]: len(mood.calls(p["prompt"])) for p in PROMPTS}
    assert set(before.values()) == {SAMPLES}

    mood.hold(after=len(PROMPTS) * METHOD["n"] * 2)
    disturbed = stack.post(PROMPTS, seed=7)
    until(lambda: mood.holds, "an iteration is under way")
    first.kill()
    stored = [len(stack.rows(disturbed, p["id"])) for p in PROMPTS]
    assert any(stored)
    assert stack.results(disturbed) == []
    mood.clear()
    second = stack.worker()

    assert stack.ended(disturbed).status == "succeeded"
    assert found(stack, disturbed) == found(stack, undisturbed)
    assert second.running
    for prompt in PROMPTS:
        again = len(mood.calls(prompt["prompt"])) - before[prompt["prompt"]]
        assert SAMPLES <= again <= SAMPLES + METHOD["n"]


def test_a_worker_killed_again_and_again_still_ends_the_job(stack: Stack) -> None:
    """Every worker gets one round further; that is enough."""
    mood = stack.reward.mood
    job_id = stack.post([PROMPTS[0]], seed=3, baselines=[{"name": "bon", "n": 4}])
    for _ in range(2):
        mood.hold(after=2 * METHOD["n"])
        worker = stack.worker()
        until(lambda: mood.holds, "an iteration is under way")
        worker.kill()
        mood.clear()
    stack.worker()
    assert stack.ended(job_id).status == "succeeded"
    assert [row.k for row in stack.rows(job_id, "short")] == [1, 2, 3, 4]
    (result,) = stack.results(job_id)
    assert result.samples == SAMPLES
    assert result.baselines[0].samples == 4


@pytest.mark.parametrize("when", ["idle", "searching"])
def test_a_worker_that_is_told_to_stop_stores_its_iteration_and_gives_back(
    stack: Stack, when: str
) -> None:
    mood, worker = stack.reward.mood, stack.worker()
    worker.until_said("ready")
    if when == "idle":
        assert worker.end() == 0
        return
    mood.hold(after=METHOD["n"])
    job_id = stack.post([PROMPTS[0]], seed=3)
    until(lambda: mood.holds, "an iteration is under way")
    worker.send(signal.SIGTERM)
    mood.clear()
    assert worker.ended() == 0
    job = stack.job(job_id)
    assert job.counts.queued == 1
    assert len(stack.rows(job_id, "short")) == 2
    stack.worker()
    assert stack.ended(job_id).status == "succeeded"
    assert len(mood.calls("Why?")) == SAMPLES
