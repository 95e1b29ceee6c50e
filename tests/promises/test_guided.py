"""The promises hold within a round whose every token is asked for: it is one iteration, and long."""

from __future__ import annotations

import signal

import pytest

from tests.promises.test_worker_killed import found
from tests.workers.processes import until
from tests.workers.stack import Stack

PROMPTS = [
    {"id": "short", "prompt": "Why not now?"},
    {"id": "long", "prompt": "Tell me about the whale. " * 3},
]
METHOD = {"name": "args", "mode": "stochastic", "n": 2, "k": 5, "weight": 8.0}
SOME = 25  # texts: a few tokens of each prompt


def post(stack: Stack, prompts: list[dict[str, str]], **fields: object) -> str:
    return stack.post(prompts, method=METHOD, max_new_tokens=12, seed=7, **fields)


def test_a_killed_worker_changes_no_token(each_stack: Stack) -> None:
    stack, mood = each_stack, each_stack.reward.mood
    undisturbed = post(stack, PROMPTS)
    assert stack.ended(undisturbed).status == "succeeded"
    mood.hold(after=SOME)
    disturbed = post(stack, PROMPTS)
    until(lambda: mood.holds, "questions are open")
    assert stack.job(disturbed).status == "running"
    stack.holder(disturbed).kill()
    mood.clear()
    assert stack.ended(disturbed).status == "succeeded"
    assert found(stack, disturbed) == found(stack, undisturbed)
    for result in stack.results(disturbed):
        (row,) = stack.rows(disturbed, result.prompt_id)
        assert row.guided is not None
        assert result.scored_partials == row.guided.scored_partials > len(row.rewards)
        assert result.samples == METHOD["n"]
        assert result.kl.token_exact == row.guided.token_exact is not None


def test_a_cancel_keeps_what_there_is_of_the_answers(standing: Stack) -> None:
    """How far they come depends on when the worker sees the cancel; not which tokens they have."""
    whole = post(standing, PROMPTS, top_k=METHOD["n"])
    assert standing.ended(whole).status == "succeeded"
    paths = [c.token_ids for result in standing.results(whole) for c in result.responses]
    mood = standing.reward.mood
    mood.hold(after=SOME)
    job_id = post(standing, PROMPTS, top_k=METHOD["n"])
    until(lambda: mood.holds, "questions are open")
    standing.cancel(job_id)
    mood.clear()
    assert standing.ended(job_id).status == "cancelled"
    for result in standing.results(job_id):
        assert result.status == "cancelled"
        assert len(standing.rows(job_id, result.prompt_id)) == 1
        assert result.responses
        for candidate in result.responses:
            length = len(candidate.token_ids)
            assert length >= 1
            assert candidate.token_ids in [path[:length] for path in paths]


def test_a_reward_that_is_down_is_waited_for(standing: Stack) -> None:
    reward = standing.reward
    reward.mood.hold(after=SOME)
    job_id = post(standing, PROMPTS[:1])
    until(lambda: reward.mood.holds, "a question is open")
    reward.kill()
    reward.mood.clear()
    reward.start()
    assert standing.ended(job_id).status == "succeeded"


@pytest.mark.parametrize("mood_name", ["nan", "few"])
def test_nonsense_fails_its_prompt_alone(standing: Stack, mood_name: str) -> None:
    mood = standing.reward.mood
    mood.set(mood_name, about="whale")
    job_id = post(standing, PROMPTS)
    assert standing.ended(job_id).status == "partial"
    good, bad = standing.results(job_id)
    assert (good.status, bad.status) == ("succeeded", "failed")
    assert bad.error
    assert bad.response is None
    mood.clear()


def test_a_worker_that_stops_gives_the_prompt_back_within_the_round(standing: Stack) -> None:
    mood = standing.reward.mood
    undisturbed = post(standing, PROMPTS[:1])
    assert standing.ended(undisturbed).status == "succeeded"
    mood.hold(after=SOME)
    job_id = post(standing, PROMPTS[:1])
    until(lambda: mood.holds, "a question is open")
    worker = standing.holder(job_id)
    worker.send(signal.SIGTERM)
    mood.clear()
    assert worker.ended() == 0
    standing.with_workers(1)
    assert standing.ended(job_id).status == "succeeded"
    assert found(standing, job_id) == found(standing, undisturbed)
