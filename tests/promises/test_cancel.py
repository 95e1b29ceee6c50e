"""Cancel stops within one iteration and keeps the best so far."""

from __future__ import annotations

from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack


def test_a_running_prompt_keeps_its_best_so_far(standing: Stack) -> None:
    mood = standing.reward.mood
    mood.hold(after=2 * METHOD["n"])
    job_id = standing.post(
        [{"id": "a", "prompt": "Why?"}, {"id": "b", "prompt": "Why not, at long last?"}],
        method={**METHOD, "batch_size": 1},
    )
    until(lambda: mood.holds, "an iteration is under way")
    standing.cancel(job_id)
    mood.clear()

    job = standing.ended(job_id)
    assert job.status == "cancelled"
    assert job.counts.cancelled == 2
    results = standing.results(job_id)
    assert [result.status for result in results] == ["cancelled", "cancelled"]
    done = 0
    for result in results:
        rows = standing.rows(job_id, result.prompt_id)
        done += len(rows)
        assert result.iterations == len(rows) <= 3
        if rows:
            assert result.reward == rows[-1].best_so_far
            assert result.response is not None
    assert done >= 1


def test_a_reward_that_never_answers_does_not_hold_a_cancel_up(standing: Stack) -> None:
    mood = standing.reward.mood
    mood.hold(after=2 * METHOD["n"])
    job_id = standing.post([{"id": "a", "prompt": "Is anybody there?"}])
    until(lambda: mood.holds, "the reward is asked")
    standing.cancel(job_id)
    assert standing.ended(job_id).status == "cancelled"
    assert mood.holds
    (result,) = standing.results(job_id)
    rows = standing.rows(job_id, "a")
    assert len(rows) == 2
    assert result.status == "cancelled"
    assert result.reward == rows[-1].best_so_far
    assert result.response == mood.calls("Is anybody there?")[best_place(rows)]


def best_place(rows: list[object]) -> int:
    """Where the best candidate stands among all that were scored, in their order."""
    rewards = [reward for row in rows for reward in row.rewards]  # type: ignore[attr-defined]
    return rewards.index(max(rewards))
