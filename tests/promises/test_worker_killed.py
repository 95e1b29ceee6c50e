"""A killed worker loses no job and costs at most one iteration; the answers do not change."""

from __future__ import annotations

import signal

from db import presence
from db.session import reading
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


def test_another_worker_goes_on_where_the_killed_one_stopped(each_stack: Stack) -> None:
    stack, mood = each_stack, each_stack.reward.mood
    undisturbed = stack.post(PROMPTS, seed=7, baselines=[{"name": "bon", "n": METHOD["n"]}])
    assert stack.ended(undisturbed).status == "succeeded"
    before = {p["prompt"]: len(mood.calls(p["prompt"])) for p in PROMPTS}
    assert set(before.values()) == {SAMPLES + METHOD["n"]}

    # All baselines, the first round of all prompts, and a part of the second.
    mood.hold(after=len(PROMPTS) * METHOD["n"] * 2 + 1)
    disturbed = stack.post(PROMPTS, seed=7, baselines=[{"name": "bon", "n": METHOD["n"]}])
    until(lambda: mood.holds, "an iteration is under way")
    stack.holder(disturbed).kill()
    stored = {p["id"]: len(stack.rows(disturbed, p["id"])) for p in PROMPTS}
    assert any(stored.values())
    assert stack.results(disturbed) == []
    mood.clear()

    assert stack.ended(disturbed).status == "succeeded"
    assert found(stack, disturbed) == found(stack, undisturbed)
    for prompt in PROMPTS:
        scored = len(mood.calls(prompt["prompt"])) - before[prompt["prompt"]]
        lost = 2 * METHOD["n"] if stored[prompt["id"]] == 0 else METHOD["n"]
        assert SAMPLES + METHOD["n"] <= scored <= SAMPLES + METHOD["n"] + lost


def test_a_budget_goes_where_it_would_have_gone(standing: Stack) -> None:
    """What a killed worker had granted is granted again, and nothing else."""
    mood = standing.reward.mood
    fields = {"method": {"name": "aisp", "n": 4}, "budget": {"samples": 72}, "seed": 7}
    undisturbed = standing.post(PROMPTS, **fields)
    assert standing.ended(undisturbed).status == "succeeded"
    whole = found(standing, undisturbed)
    assert len({len(standing.rows(undisturbed, p["id"])) for p in PROMPTS}) > 1
    mood.hold(after=45)  # in the second wave, or later
    disturbed = standing.post(PROMPTS, **fields)
    until(lambda: mood.holds, "an iteration is under way")
    standing.holder(disturbed).kill()
    mood.clear()
    assert standing.ended(disturbed).status == "succeeded"
    assert found(standing, disturbed) == whole
    assert sum(result.samples for result in standing.results(disturbed)) == 72


def test_a_worker_killed_again_and_again_still_ends_the_job(standing: Stack) -> None:
    """Every worker gets a round further; that is enough."""
    mood, prompt = standing.reward.mood, "Who dies so often?"
    mood.hold(after=METHOD["n"])
    job_id = standing.post([{"id": "a", "prompt": prompt}], seed=3)
    for k in (1, 2):
        until(lambda: mood.holds, "an iteration is under way")
        assert [row.k for row in standing.rows(job_id, "a")] == list(range(1, k + 1))
        standing.holder(job_id).kill()
        mood.hold(after=METHOD["n"])  # what was lost is done again, and then comes the next
    standing.with_workers(1)
    mood.clear()
    assert standing.ended(job_id).status == "succeeded"
    assert [row.k for row in standing.rows(job_id, "a")] == [1, 2, 3, 4]
    assert len(mood.calls(prompt)) <= SAMPLES + 2 * METHOD["n"]
    (result,) = standing.results(job_id)
    assert result.samples == SAMPLES


def test_a_worker_that_is_told_to_stop_stores_its_iteration_and_gives_back(
    standing: Stack,
) -> None:
    mood, prompt = standing.reward.mood, "Are you leaving?"
    mood.hold(after=METHOD["n"])
    job_id = standing.post([{"id": "a", "prompt": prompt}], seed=3)
    until(lambda: mood.holds, "an iteration is under way")
    leaving = standing.holder(job_id)
    leaving.send(signal.SIGTERM)
    mood.clear()
    assert leaving.ended() == 0
    assert "given back" in leaving.said
    assert standing.ended(job_id).status == "succeeded"
    assert len(mood.calls(prompt)) == SAMPLES  # nothing was done twice


def test_a_worker_that_stops_is_missed_at_once_and_a_killed_one_after_its_silence(
    stack: Stack,
) -> None:
    """Readiness counts the workers that are alive."""
    stack.with_workers(2)
    leaving, killed = stack.workers

    def alive() -> set[str]:
        with reading(stack.store) as session:
            return {worker.owner.split("-")[-2] for worker in presence.alive(session, 60)}

    assert alive() == {str(leaving.pid), str(killed.pid)}
    killed.kill()
    assert leaving.end(signal.SIGTERM) == 0
    assert alive() == {str(killed.pid)}
