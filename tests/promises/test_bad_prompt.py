"""One bad prompt never takes the others with it."""

from __future__ import annotations

from tests.workers.services import CONTEXT
from tests.workers.stack import Stack


def test_a_prompt_that_is_too_long_fails_alone_with_the_reason(standing: Stack) -> None:
    job_id = standing.post(
        [
            {"id": "a", "prompt": "Why?"},
            {"id": "endless", "prompt": "and on " * CONTEXT},
            {"id": "b", "prompt": "Who?"},
            {"id": "c", "messages": [{"role": "user", "content": "Where?"}]},
        ],
    )
    job = standing.ended(job_id)
    assert job.status == "partial"
    assert job.counts.succeeded == 3
    a, endless, b, c = standing.results(job_id)
    assert [r.status for r in (a, endless, b, c)] == [
        *("succeeded", "failed", "succeeded", "succeeded")
    ]
    assert endless.error is not None
    assert str(CONTEXT) in endless.error
    assert "tokens" in endless.error
    assert endless.response is None
    assert "/" not in endless.error.replace(standing.model, "")


def test_a_job_of_bad_prompts_only_has_failed(standing: Stack) -> None:
    job = standing.ended(standing.post(["and on " * CONTEXT, "and off " * CONTEXT]))
    assert job.status == "failed"
    assert job.error is not None
